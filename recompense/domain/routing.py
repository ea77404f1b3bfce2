"""The order in which providers are asked for one operation: pure, and the same for every run."""

from __future__ import annotations

import hashlib

from recompense.domain.terms import RoutingTerms


def ranked(terms: RoutingTerms, operation_id: str) -> tuple[str, ...]:
    """The providers of these terms, the first choice first.

    Preferred ones come in their order. The weighted ones follow, drawn one after the other: each is
    drawn as often as its share of the weights that are left says. The draw is a hash of the
    operation's id and of nothing else, so that a reset or another worker draws the same.
    """
    left = {name: weight for name, weight in terms.weights.items() if name not in terms.prefer}
    drawn = list(terms.prefer)
    while left:
        name = _drawn(left, f"{operation_id}:{len(left)}")
        drawn.append(name)
        del left[name]
    return tuple(drawn)


def _drawn(weights: dict[str, int], seed: str) -> str:
    point = int.from_bytes(hashlib.sha256(seed.encode()).digest()) % sum(weights.values())
    for name in sorted(weights):
        point -= weights[name]
        if point < 0:
            return name
    raise AssertionError("a point lies below the sum of the weights")
