"""The invariants of `reliability.md` that can be seen here, one function each.

Each looks at a world in which nothing is due any more and every parked saga has been answered, and
yields what is wrong in words. The provider's own log is what counts, not what we believe of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.provider import PayoutState, ProviderOperation
from recompense.domain.effects import ATTEMPT_TRANSITIONS, AttemptState
from recompense.domain.states import (
    PAYMENT_TRANSITIONS,
    PAYOUT_TRANSITIONS,
    PaymentStatus,
    PayoutStatus,
)
from recompense.ledger.accounts import Side, account, bank_cash, provider_clearing
from recompense.ledger.book import Book
from recompense.persistence.saga_tables import JournalRow, Operation, Orphan
from recompense.persistence.tables import (
    Capture,
    Merchant,
    Payment,
    Payout,
    Refund,
    ReserveTranche,
    VoidRequest,
)
from tests.simulation.instances import NotDeterministic, decoded
from tests.simulation.provider_log import Effect, taken
from tests.simulation.run_invariants import (
    items_are_paid_once,
    runs_are_sums,
    runs_end,
    runs_end_last,
)
from tests.simulation.runs import replayed
from tests.simulation.world import PROVIDER, SPARE, World, saga_of

Invariant = Callable[[World], Iterator[str]]
FINAL_PAYMENT = {PaymentStatus.VOIDED, PaymentStatus.EXPIRED, PaymentStatus.DECLINED}
HOLDS_AUTHORIZATION = {
    PaymentStatus.AUTHORIZED,
    PaymentStatus.PARTIALLY_CAPTURED,
    PaymentStatus.CAPTURED,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.REFUNDED,
}


def postings_balance(world: World) -> Iterator[str]:
    """(1, 2) Each posting is made of transfers, each of which debits what it credits; so the ledger
    sums to zero for each currency.
    """
    sums: Counter[str] = Counter()
    for (_name, currency), totals in world.store.book.accounts.items():
        sums[currency] += totals.debits_posted - totals.credits_posted
        sums[currency] += totals.debits_pending - totals.credits_pending
    yield from (f"the ledger is off by {off} {currency}" for currency, off in sums.items() if off)


def balances_are_sums(world: World) -> Iterator[str]:
    """(3) Stored balances equal the sum of the postings, booked again from nothing."""
    again = Book()
    for posting in world.store.book.postings.values():
        again.post(posting)
    if again.accounts != world.store.book.accounts:
        yield "the balances are not the sums of the postings"


def floors_hold(world: World) -> Iterator[str]:
    """(4) No floored account is below its floor, and no merchant owes pending money."""
    for (name, currency), totals in world.store.book.accounts.items():
        if account(name).floored and totals.spendable < 0:
            yield f"{name} has {totals.spendable} {currency}"
        if name.endswith(":pending") and totals.balance(Side.CREDIT) < 0:
            yield f"{name} has {totals.balance(Side.CREDIT)} {currency} pending"


def holds_fit(world: World) -> Iterator[str]:
    """(6) What is authorized and neither captured nor voided is what the ledger still holds."""
    for payment in world.store.rows(Payment):
        rest = payment.amount_authorized - payment.amount_captured - payment.amount_voided
        held = sum(
            hold.remaining
            for hold in world.store.book.open_holds(payment_id=payment.id)
            if hold.debit.startswith("provider:")
        )
        if rest < 0 or rest != held:
            yield f"{payment.id} has {rest} left, and {held} held"


def one_effect_per_attempt(world: World) -> Iterator[str]:
    """(7) At most one effect at the provider for each operation, step and attempt, and one standing
    forward effect for each operation.
    """
    keys = Counter(effect.effect_key for effect in world.provider.effects)
    yield from (f"{key} was made {n} times" for key, n in keys.items() if n > 1)
    standing: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for effect in world.provider.effects:
        if effect.status in {"made", "pending"} and effect.operation not in _UNDOES:
            standing[effect.operation_id, effect.operation].append(effect.effect_key)
    for (operation_id, operation), made in standing.items():
        if len(made) > 1:
            yield f"{operation_id} has more than one {operation}: {made}"


_UNDOES = {ProviderOperation.VOID, ProviderOperation.CANCEL_PAYOUT}


def every_request_ends(world: World) -> Iterator[str]:
    """(8) Every request that was taken has its row, and in the end an effect or a refusal."""
    operations = {row.saga_id: row for row in world.store.rows(Operation)}
    for saga in world.asked:
        if isinstance(saga, PayoutRunInput):
            continue
        row = operations.get(saga.ref().saga_id)
        if row is None:
            yield f"{saga.ref().saga_id} has no row"
        elif row.attempt_state not in {AttemptState.RECORDED, AttemptState.CLOSED}:
            yield f"{row.saga_id} ended {row.attempt_state}"


def payments_agree(world: World) -> Iterator[str]:
    """(9, 12) What stands at the provider for a payment is what the payment says, to the cent."""
    for payment in world.store.rows(Payment):
        made = _effects_of(world, ProviderOperation.AUTHORIZE, payment.id)
        standing = [effect for effect in made if effect.status == "made"]
        held = payment.status in HOLDS_AUTHORIZATION
        if held and len(standing) != 1:
            yield f"{payment.id} is {payment.status}, and {len(standing)} authorizations stand"
        for effect in standing:
            closed = (
                effect.closed and taken(world.provider.effects, effect.reference) == effect.amount
            )
            rest = payment.amount_authorized - payment.amount_captured - payment.amount_voided
            if effect.closed and rest:
                yield f"{payment.id} has {rest} left, and the provider has closed it"
            if not held and not closed:
                yield f"{payment.id} is {payment.status}, and {effect.effect_key} stands"
            if (effect.amount, effect.currency) != (payment.amount, payment.currency):
                yield f"{payment.id} is of another amount at the provider"
        if payment.status == PaymentStatus.REQUIRES_ACTION:
            yield f"{payment.id} still requires an action"


def sums_agree(world: World) -> Iterator[str]:
    """(9, 10, 11) What was captured, refunded and voided at the provider is what the payment says.

    Never more captured than authorized, more refunded than captured, or both captured and voided.
    """
    for payment in world.store.rows(Payment):
        sums = {
            operation: sum(effect.amount for effect in _of_payment(world, operation, payment))
            for operation in (ProviderOperation.CAPTURE, ProviderOperation.REFUND)
        }
        if sums[ProviderOperation.CAPTURE] != payment.amount_captured:
            yield f"{payment.id}: captured {sums}, we say {payment.amount_captured}"
        if sums[ProviderOperation.REFUND] != payment.amount_refunded:
            yield f"{payment.id}: refunded {sums}, we say {payment.amount_refunded}"
        if not payment.amount_refunded <= payment.amount_captured <= payment.amount:
            yield f"{payment.id} has captured or refunded too much"
        if payment.amount_capture_reserved or payment.amount_refund_reserved or payment.void_open:
            yield f"{payment.id} still reserves something"


def payouts_agree(world: World) -> Iterator[str]:
    """(9, 12) What stands at the provider for a payout is what the payout says."""
    for payout in world.store.rows(Payout):
        made = _effects_of(world, ProviderOperation.CREATE_PAYOUT, payout.id)
        paid = [effect for effect in made if effect.status == "made"]
        under_way = [effect for effect in made if effect.status == "pending"]
        returned = any(effect.payout_state is PayoutState.RETURNED for effect in made)
        expected = 1 if payout.status in {PayoutStatus.PAID, PayoutStatus.RETURNED} else 0
        if len(paid) != expected:
            yield f"{payout.id} is {payout.status}, and was paid {len(paid)} times"
        if under_way or payout.status in {PayoutStatus.PENDING, PayoutStatus.IN_TRANSIT}:
            yield f"{payout.id} is {payout.status} and has not arrived"
        if returned and not made[0].forgotten and payout.status != PayoutStatus.RETURNED:
            yield f"{payout.id} came back, and is {payout.status}"
        if payout.hold_key is not None:
            yield f"{payout.id} still holds money"


def ledger_agrees(world: World) -> Iterator[str]:
    """(9, 23) The provider's clearing account and the bank hold what the provider's log says."""
    moved: Counter[str] = Counter()
    for effect in world.provider.effects:
        if effect.status == "made":
            moved[effect.operation] += effect.amount
            if effect.payout_state is PayoutState.RETURNED and not effect.forgotten:
                moved[effect.operation] -= effect.amount
    clearing = sum(
        world.store.book.totals(provider_clearing(name), "EUR").balance(Side.DEBIT)
        for name in (PROVIDER, SPARE)
    )
    cleared = moved[ProviderOperation.CAPTURE] - moved[ProviderOperation.REFUND]
    if clearing != cleared:
        yield f"clearing says {clearing}, the provider {cleared}"
    bank = world.store.book.totals(bank_cash("main"), "EUR")
    if bank.balance(Side.CREDIT) != moved[ProviderOperation.CREATE_PAYOUT]:
        yield f"the bank says {bank}, the provider paid {moved[ProviderOperation.CREATE_PAYOUT]}"


def merchants_agree(world: World) -> Iterator[str]:
    """(9) What all of a merchant's accounts hold together is what rows say was captured, less fees,
    refunds and payouts; and its reserve is what the tranches still keep.
    """
    book, rows = world.store.book, world.store.rows
    for merchant in rows(Merchant):
        held = {
            kind: book.totals(f"merchant:{merchant.id}:{kind}", "EUR")
            for kind in _MERCHANT_ACCOUNTS
        }
        payments = {row.id: row for row in rows(Payment) if row.merchant_id == merchant.id}
        own = sum(
            payment.amount_captured
            - payment.amount_fees
            + payment.amount_fees_returned
            - payment.amount_refunded
            for payment in payments.values()
        )
        for payout in rows(Payout):
            if payout.merchant_id == merchant.id:
                own -= payout.amount if payout.status == PayoutStatus.PAID else payout.return_fee
        total = sum(totals.balance(Side.CREDIT) for totals in held.values())
        if total != own:
            yield f"the accounts of {merchant.id} hold {total}, the rows say {own}"
        tranches = [row for row in rows(ReserveTranche) if row.released_at is None]
        kept = sum(tranche.amount for tranche in tranches if tranche.payment_id in payments)
        if held["reserve"].balance(Side.CREDIT) != kept:
            yield f"the reserve of {merchant.id} holds {held['reserve']}, its tranches {kept}"


_MERCHANT_ACCOUNTS = ("pending", "available", "reserve")


def states_agree(world: World) -> Iterator[str]:
    """(13) Saga, resource and journal agree once all is quiet."""
    for row in world.store.rows(JournalRow):
        if row.final and not row.booked and _is_forward(row) and _is_recorded(world, row):
            yield f"{row.effect_key} is known and was never booked"
        if row.first_sent_at and row.outcome_kind is None and _is_forward(row):
            yield f"{row.effect_key} may have been sent, and nobody knows what became of it"
    for capture in world.store.rows(Capture):
        if capture.status == "pending":
            yield f"{capture.id} is still pending"
    for refund in world.store.rows(Refund):
        if refund.status == "pending":
            yield f"{refund.id} is still pending"
    for void in world.store.rows(VoidRequest):
        if void.status == "pending":
            yield f"void {void.number} of {void.payment_id} is still pending"


def only_listed_transitions(world: World) -> Iterator[str]:
    """(14, 15) Every committed change of a state is one that its table lists."""
    for change in world.store.changes:
        if change.before is None or change.before == change.after:
            continue
        before, after = change.before[0], change.after[0]
        if change.table == "payments":
            legal = PaymentStatus(after) in PAYMENT_TRANSITIONS[PaymentStatus(before)]
        elif change.table == "payouts":
            legal = _legal_payout(PayoutStatus(before), PayoutStatus(after))
        elif change.table == "journal":
            legal = not change.before[1] or (before == after and bool(change.after[1]))
        elif change.table == "operations":
            legal = _legal_attempt(change.before, change.after)
        elif change.table in {"payout_runs", "payout_run_items"}:
            continue
        else:
            legal = before not in {"succeeded", "undone"}
        if not legal:
            yield f"{change.table} {change.key} went from {change.before} to {change.after}"


def _legal_payout(before: PayoutStatus, after: PayoutStatus) -> bool:
    listed = PAYOUT_TRANSITIONS[before]
    # A replay goes back to `pending` and on to its approval in one transaction.
    return after in listed or (PayoutStatus.PENDING in listed and after == "awaiting_approval")


def _legal_attempt(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    if before[:2] == after[:2]:
        return True
    state, target = AttemptState(str(before[1])), AttemptState(str(after[1]))
    if before[0] != after[0]:
        reopened = state is AttemptState.CLOSED and after[0] == int(str(before[0])) + 1
        return reopened and target in {AttemptState.OPEN, AttemptState.RECORDED}
    return target in ATTEMPT_TRANSITIONS[state]


def nothing_is_stuck(world: World) -> Iterator[str]:
    """(16) Every run has ended, or asks for a person."""
    for run in world.server.runs:
        if run.open and not run.attention:
            yield f"{run.workflow_id} {run.run_id} neither ends nor asks"


def histories_replay(world: World) -> Iterator[str]:
    """(17) Every history gives the same commands when it is fed again."""
    for run in world.server.runs:
        try:
            replayed(run).evict()
        except NotDeterministic as broken:
            yield f"{run.workflow_id} does not replay: {broken}"


def one_answer(world: World) -> Iterator[str]:
    """(18) One request has one answer. A replay that pays afresh may tell another one."""
    told: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    attempts = {row.saga_id: row.attempt for row in world.store.rows(Operation)}
    for run in world.server.runs:
        answer = run.answers.get("decision")
        if answer is not None and answer.result is not None and run.workflow_type != "PayoutRun":
            (decision,) = decoded([answer.result], [dict])
            refused, resource = decision["refusal"], decision["resource"]
            status = "refused" if refused else resource["status"]
            told[saga_of(run), "status"].add(_final_word(status))
    for (saga_id, _), answers in told.items():
        if len(answers - {"on its way"}) > 1 and attempts.get(saga_id) == 1:
            yield f"{saga_id} was answered {sorted(answers)}"


def _final_word(status: str) -> str:
    under_way = {"requires_action", "in_transit", "awaiting_approval", "processing", "pending"}
    if status in under_way or status in {"authorized", "partially_captured"}:
        return "on its way"
    return "paid" if status == "returned" else status


def orphans_are_settled(world: World) -> Iterator[str]:
    """Nothing known is dropped: an orphan is undone, or taken up, if need be by a person."""
    for orphan in world.store.rows(Orphan):
        if orphan.status in {"open", "parked"}:
            yield f"the orphan {orphan.step} of {orphan.saga_id} is {orphan.status}"


def _effects_of(world: World, operation: ProviderOperation, operation_id: str) -> list[Effect]:
    return [
        effect
        for effect in world.provider.effects
        if effect.operation is operation and effect.operation_id == operation_id
    ]


def _of_payment(world: World, operation: ProviderOperation, payment: Payment) -> list[Effect]:
    references = {
        effect.reference for effect in _effects_of(world, ProviderOperation.AUTHORIZE, payment.id)
    }
    return [
        effect
        for effect in world.provider.effects
        if effect.operation is operation and effect.parent in references and effect.status == "made"
    ]


def _is_forward(row: JournalRow) -> bool:
    return not row.step.endswith((".undo", ".orphan", ".cancel"))


def _is_recorded(world: World, row: JournalRow) -> bool:
    return any(
        operation.saga_id == row.saga_id
        and operation.attempt == row.attempt
        and operation.attempt_state == AttemptState.RECORDED
        for operation in world.store.rows(Operation)
    )


INVARIANTS: tuple[Invariant, ...] = (
    postings_balance,
    balances_are_sums,
    floors_hold,
    holds_fit,
    one_effect_per_attempt,
    every_request_ends,
    payments_agree,
    sums_agree,
    payouts_agree,
    ledger_agrees,
    merchants_agree,
    states_agree,
    only_listed_transitions,
    nothing_is_stuck,
    histories_replay,
    one_answer,
    orphans_are_settled,
    items_are_paid_once,
    runs_are_sums,
    runs_end,
    runs_end_last,
)
