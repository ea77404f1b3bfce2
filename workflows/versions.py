"""The one place that names how workflow code has changed since runs began that are still under way.

Workers carry no versions: a run is carried on by whichever worker takes its next task, of an old
build or a new one. So a change of the order or the kind of a workflow's commands stands behind a
predicate of this file. It is true for a run that comes to the place for the first time, which
records that in its history, and false for one whose history went the old way.

A predicate goes, with the old way, when no history of that way is left: when the namespace's
retention has passed since the last old worker was stopped. Its name is never used again.
"""

from __future__ import annotations

from temporalio import workflow


def early_reviews_wait() -> bool:
    """A review that overtakes the payout's first step waits for it; it used to be refused at
    once.
    """
    return workflow.patched("early-reviews-wait")
