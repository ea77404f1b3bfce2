"""Planted defects, each with the case that catches it.

A tier that catches no mutant is not doing its work. Run as a program it looks for a case that
catches each: `python -m tests.simulation.mutants [name ...]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.simulation.candidates import candidates
from tests.simulation.cases import case_of, play
from tests.simulation.mutations import effects, legs, money, operations, runs, sagas

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A defect: how it is planted, the rule of `effects.md` that it breaks, and who catches it."""

    plant: Plant
    breaks: str
    caught_by: str


MUTANTS: dict[str, Mutant] = {
    "unknown_is_absent": Mutant(
        effects.m_unknown_is_absent,
        "saga contract 2: compensate only what is known",
        "authorize/F12@authorize#1x1/-/1",
    ),
    "unknown_is_made": Mutant(
        effects.m_unknown_is_made,
        "saga contract 2: nothing is guessed",
        "authorize_declined/F12@authorize#1x1/-/1",
    ),
    "failed_series_is_absent": Mutant(
        effects.m_failed_series_is_absent,
        "4: unavailable speaks for one try",
        "authorize/F12@authorize#1x1/-/1",
    ),
    "key_from_the_run": Mutant(
        effects.m_key_from_the_run,
        "replay contract: keys come from the operation, the step and the attempt",
        "authorize_pending/-/-/1",
    ),
    "key_without_the_attempt": Mutant(
        effects.m_key_without_the_attempt,
        "replay contract: a new attempt has a key of its own",
        "authorize/F1@authorize#1x99/reset_late@0:0/1",
    ),
    "absence_is_final_at_once": Mutant(
        effects.m_absence_is_final_at_once,
        "5: absence takes time",
        "authorize/F1@authorize#1x3+slow@authorize#4x1/-/1",
    ),
    "look_up_is_ignored": Mutant(
        effects.m_look_up_is_ignored,
        "3: a later try looks up",
        "authorize_pending/F8@authorize#1x1/-/1",
    ),
    "a_decline_is_an_exception": Mutant(
        effects.m_a_decline_is_an_exception,
        "saga contract 3: a decline is a result",
        "authorize_declined/-/-/1",
    ),
    "the_last_outcome_wins": Mutant(
        effects.m_the_last_outcome_wins,
        "8: the first final outcome wins",
        "automatic_declined/F15@void#1x1/-/1",
    ),
    "outcomes_are_not_journaled": Mutant(
        effects.m_outcomes_are_not_journaled,
        "8: nothing known is dropped",
        "authorize_action_ignored/-/-/1",
    ),
    "orphans_are_dropped": Mutant(
        effects.m_orphans_are_dropped,
        "8: nothing known is dropped",
        "authorize/F1@authorize#1x3+astray@authorize#4x1/-/1",
    ),
    "a_person_is_not_asked": Mutant(
        effects.m_a_person_is_not_asked,
        "saga contract 4: it parks with its question",
        "authorize/F3@authorize#1x1+F16@lookup#1x99/-/1",
    ),
    "wrong_amount_is_sent": Mutant(
        effects.m_wrong_amount_is_sent,
        "invariant 12: one amount everywhere",
        "authorize/-/-/1",
    ),
    "reason_changes": Mutant(
        effects.m_reason_changes,
        "invariant 17: every history replays",
        "authorize/-/crash_after@3/1",
    ),
    "a_later_try_fails_over": Mutant(
        legs.m_a_later_try_fails_over,
        "4: an unavailable provider speaks for one try",
        "routed_authorize/slow@authorize#1x1+F9@authorize#2x1/-/1",
    ),
    "a_leg_keeps_its_key": Mutant(
        legs.m_a_leg_keeps_its_key,
        "rows: a leg has an effect key of its own",
        "routed_declined/-/-/1",
    ),
    "the_hold_stays_behind": Mutant(
        legs.m_the_hold_stays_behind,
        "6: the ledger holds what is authorized, where it is",
        "routed_declined/-/-/1",
    ),
    "attempt_is_not_closed": Mutant(
        operations.m_attempt_is_not_closed,
        "rows: a taken back attempt is closed",
        "authorize/F10@authorize#1x99/-/1",
    ),
    "compensating_is_not_marked": Mutant(
        operations.m_compensating_is_not_marked,
        "rows: compensating commits before the first compensation",
        "authorize/F10@authorize#1x99/-/1",
    ),
    "nothing_is_undone_at_the_provider": Mutant(
        operations.m_nothing_is_undone_at_the_provider,
        "saga contract 1: what was done is undone",
        "automatic_declined/-/-/1",
    ),
    "unknown_is_taken_back": Mutant(
        operations.m_unknown_is_taken_back,
        "saga contract 2: compensate only what is known",
        "authorize/F3@authorize#1x1+F16@lookup#1x99/-/1",
    ),
    "a_recorded_attempt_is_taken_back": Mutant(
        operations.m_a_recorded_attempt_is_taken_back,
        "6: a compensation that finds recorded does nothing",
        "payout_canceled/F12@cancel_payout#1x1/copy_late@0/1",
    ),
    "compensating_goes_forward": Mutant(
        operations.m_compensating_goes_forward,
        "6: a forward step joins the compensation",
        "authorize_action_ignored/F12@void#1x1/reset_late@0:0/1",
    ),
    "every_run_pays_afresh": Mutant(
        operations.m_every_run_pays_afresh,
        "1: only a run first seen after the close opens the next attempt",
        "authorize_action_ignored/-/copy@1/1",
    ),
    "admit_decides_again": Mutant(
        operations.m_admit_decides_again,
        "2: admit decides once",
        "authorize/-/crash_after@1/1",
    ),
    "a_refusal_is_not_kept": Mutant(
        operations.m_a_refusal_is_not_kept,
        "2: a reset of a refused operation returns the refusal",
        "authorize_refused/-/-/1",
    ),
    "booked_twice": Mutant(
        operations.m_booked_twice,
        "replay contract: a replayed step books nothing",
        "capture/-/cut_after@3/1",
    ),
    "never_booked": Mutant(
        operations.m_never_booked,
        "invariant 9: every effect is in the ledger",
        "authorize/-/-/1",
    ),
    "an_overtaken_answer_is_the_last": Mutant(
        operations.m_an_overtaken_answer_is_the_last,
        "9: a word that overtakes the answer to its call is booked all the same",
        "payout/-/overtaken@0.02/1",
    ),
    "absence_counts_after_an_answer": Mutant(
        effects.m_absence_counts_after_an_answer,
        "5: an answer about another amount parks, whatever a look-up does not show",
        "refund_part/F12@refund#1x1+invisible@lookup#1x3/-/1",
    ),
    "not_released": Mutant(
        operations.m_not_released,
        "saga contract 1: a reservation is given back",
        "authorize/F1@authorize#1x99/-/1",
    ),
    "the_whole_hold_is_voided": Mutant(
        operations.m_the_whole_hold_is_voided,
        "11: a void takes what is neither captured nor reserved",
        "void_rest/-/-/1",
    ),
    "the_rest_is_not_voided": Mutant(
        operations.m_the_rest_is_not_voided,
        "11: a final capture releases the rest",
        "capture_last/-/-/1",
    ),
    "a_refused_capture_stays_reserved": Mutant(
        operations.m_a_refused_capture_stays_reserved,
        "11: a refused capture gives its reservation back",
        "capture_declined/-/-/1",
    ),
    "a_refused_refund_stays_reserved": Mutant(
        operations.m_a_refused_refund_stays_reserved,
        "12: a refused refund gives its reservation back",
        "refund_declined/-/-/1",
    ),
    "a_refund_takes_what_is_not_there": Mutant(
        operations.m_a_refund_takes_what_is_not_there,
        "12: pending never goes below zero",
        "refund/-/-/1",
    ),
    "a_payout_is_not_posted": Mutant(
        operations.m_a_payout_is_not_posted,
        "invariant 9: every effect is in the ledger",
        "payout/-/-/1",
    ),
    "a_failed_payout_keeps_the_money": Mutant(
        operations.m_a_failed_payout_keeps_the_money,
        "invariant 13: payout and ledger agree",
        "payout_failed/-/-/1",
    ),
    "a_returned_payout_is_not_noticed": Mutant(
        operations.m_a_returned_payout_is_not_noticed,
        "9: the inbox is applied",
        "payout_returned/-/-/1",
    ),
    "the_inbox_is_not_applied": Mutant(
        operations.m_the_inbox_is_not_applied,
        "9: the inbox is applied, not only stored",
        "payout_returned/-/-/1",
    ),
    "a_returned_fee_is_not_counted": Mutant(
        money.m_a_returned_fee_is_not_counted,
        "invariants 9: ledger, payment and provider agree",
        "refund_part/-/-/1",
    ),
    "the_reserve_has_no_tranche": Mutant(
        money.m_the_reserve_has_no_tranche,
        "invariants 9: ledger, payment and provider agree",
        "automatic/-/-/1",
    ),
    "a_return_costs_what_no_row_says": Mutant(
        money.m_a_return_costs_what_no_row_says,
        "invariants 9: ledger, payment and provider agree",
        "payout_returned/-/-/1",
    ),
    "the_fee_is_counted_twice": Mutant(
        operations.m_the_fee_is_counted_twice,
        "invariant 6: the rows say what the ledger says",
        "capture/-/-/1",
    ),
    "a_transition_is_not_checked": Mutant(
        operations.m_a_transition_is_not_checked,
        "invariant 15: only listed transitions",
        "authorize/F1@authorize#1x99/reset_late@0:0/1",
    ),
    "an_approval_is_asked_again": Mutant(
        operations.m_an_approval_is_asked_again,
        "2: a later run gets the same decision",
        "payout_approved/-/copy@1/1",
    ),
    "orphans_are_not_undone": Mutant(
        sagas.m_orphans_are_not_undone,
        "8: an orphan's undo is started",
        "authorize/F1@authorize#1x3+astray@authorize#4x1/-/1",
    ),
    "a_cancel_ends_what_is_pending": Mutant(
        sagas.m_a_cancel_ends_what_is_pending,
        "7: what may have happened only goes forward",
        "authorize_pending/-/cancel@2/1",
    ),
    "a_cancel_tears_the_saga": Mutant(
        sagas.m_a_cancel_tears_the_saga,
        "saga contract 5: a cancel never tears a money step",
        "authorize_pending/-/cancel@2/1",
    ),
    "a_failed_undo_counts_as_undone": Mutant(
        sagas.m_a_failed_undo_counts_as_undone,
        "saga contract 4: a compensation that cannot be done parks",
        "automatic_declined/F15@void#1x1/-/1",
    ),
    "the_undo_is_not_made": Mutant(
        sagas.m_the_undo_is_not_made,
        "saga contract 1: compensations run",
        "automatic_declined/-/-/1",
    ),
    "pending_is_approved": Mutant(
        sagas.m_pending_is_approved,
        "7: pending is not final",
        "authorize_pending/-/-/1",
    ),
    "nobody_is_told_the_word": Mutant(
        sagas.m_nobody_is_told_the_word,
        "7: a pending outcome is asked for until it ends",
        "authorize_pending/-/-/1",
    ),
    "the_relay_sleeps": Mutant(
        sagas.m_the_relay_sleeps,
        "9: a relay starts what is stored and not applied",
        "payout_returned/F12@create_payout#1x1/cut_after@11/1",
    ),
    "a_declined_automatic_capture_stands": Mutant(
        sagas.m_a_declined_automatic_capture_stands,
        "saga contract 1: a declined capture voids its authorization",
        "automatic_declined/-/-/1",
    ),
    "an_attempt_is_left_open": Mutant(
        sagas.m_an_attempt_is_left_open,
        "rows: a taken back attempt is closed",
        "automatic_declined/-/-/1",
    ),
    "an_item_is_handed_out_under_a_new_id": Mutant(
        runs.m_an_item_is_handed_out_under_a_new_id,
        "runs: the row chooses an item's payout, so that one started twice is one",
        "run/-/reset@2:1/1",
    ),
    "an_item_is_paid_short": Mutant(
        runs.m_an_item_is_paid_short,
        "runs: what was approved is what is paid",
        "run/-/-/1",
    ),
    "the_total_leaves_out_what_has_failed": Mutant(
        runs.m_the_total_leaves_out_what_has_failed,
        "runs: a run's total is the sum of its items",
        "run_failing/-/-/1",
    ),
    "a_run_ends_before_its_items": Mutant(
        runs.m_a_run_ends_before_its_items,
        "runs: a run ends when nothing of it waits",
        "run/F3@create_payout#1x1/-/1",
    ),
    "a_resume_pays_what_was_paid": Mutant(
        runs.m_a_resume_pays_what_was_paid,
        "runs: a resume pays what has failed, and nothing else",
        "run/-/-/1",
    ),
}


def main() -> None:
    """Find the simplest case that catches each named mutant, or all."""
    for name in sys.argv[1:] or MUTANTS:
        sys.stdout.write(f"{name}: {_catcher(MUTANTS[name].plant)}\n")
        sys.stdout.flush()


def _catcher(plant: Plant) -> str:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for name in candidates():
            outcome = play(case_of(name))
            if outcome.wrong and outcome.fired:
                return f"{name}   {outcome.wrong[0]}"
    return "NOT CAUGHT"


if __name__ == "__main__":
    main()
