"""Malformed answers, made from a vendor's good ones: JSON with types swapped, XML with hostile
parts, truncations, numbers beyond any number, other encodings, HTML.

Seeded, so that a body which once broke an adapter breaks it again. An adapter is held against them
by `hold_against`: it answers in our words or fails by our failures, and never takes an answer for
final whose amount, currency or identity is another than what was asked.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from recompense.contracts.provider import Approved, Declined, Found, WebhookRefused
from recompense.domain.failures import RecompenseError
from tests.support.hostile_xml import xml_mutations

LEAST = 300
_HUGE = 10**400
_OTHER_MONEY = {"EUR": "USD", "eur": "usd", "USD": "EUR", "usd": "eur"}
_VALUES: tuple[tuple[str, Any], ...] = (
    ("null", None),
    ("true", True),
    ("empty text", ""),
    ("text", "something else"),
    ("zero", 0),
    ("minus one", -1),
    ("fraction", 10.5),
    ("huge", _HUGE),
    ("beyond 64 bits", 2**63),
    ("NaN", float("nan")),
    ("infinity", float("inf")),
    ("list", []),
    ("object", {}),
    ("nul", "\x00"),
    ("lone surrogate", "\ud800"),
    ("long", "x" * 100_000),
    ("number as text", "1e3"),
    ("other digits", "\u0661\u0660\u0660\u0660"),
    ("markup", "<script>alert(1)</script>"),
    ("line break", "a\r\nb: c"),
)


@dataclass(frozen=True)
class HostileBody:
    """A body, what was done to it, and the field that was touched: None where it was the whole."""

    name: str
    content: bytes
    touched: str | None = None


def mutated(good: bytes, seed: int, *, at_least: int = LEAST) -> Iterator[HostileBody]:
    """At least so many bodies, the same for the same seed. None of them is `good` itself."""
    random = Random(seed)  # noqa: S311 - a seed is the point
    bodies = [*_structured(good), *_whole(good, random)]
    random.shuffle(bodies)
    seen = {good}
    made = 0
    for body in bodies:
        if body.content not in seen:
            seen.add(body.content)
            made += 1
            yield body
    while made < at_least:
        body = _flipped(random.choice(bodies).content if bodies else good, random)
        if body.content not in seen:
            seen.add(body.content)
            made += 1
            yield body


def hold_against(
    read: Callable[[bytes], object],
    good: bytes,
    *,
    critical: Collection[str],
    seed: int = 7,
    at_least: int = LEAST,
) -> Counter[str]:
    """Hold a reader of answers against bodies made from a good one, and count what it said.

    `critical`: the fields (JSON keys, XML tags) that tell amount, currency, identity and status.
    An answer in which one of them was touched must not be final.
    """
    told: Counter[str] = Counter()
    for body in mutated(good, seed, at_least=at_least):
        try:
            result = read(body.content)
        except (RecompenseError, WebhookRefused) as failure:
            told[type(failure).__name__] += 1
            continue
        answer = result.answer if isinstance(result, Found) else result
        final = isinstance(answer, Approved | Declined)
        assert not (final and body.touched in critical), f"a guess: {body.name} gave {answer}"
        told[type(answer).__name__] += 1
    return told


def _structured(good: bytes) -> Iterator[HostileBody]:
    if good.lstrip().startswith(b"<"):
        for name, content, touched in xml_mutations(good):
            yield HostileBody(name, content, touched)
        return
    try:
        tree = json.loads(good)
    except ValueError:
        return
    for path in _paths(tree):
        yield from _changed(tree, path)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _paths(value, (*path, key))


def _changed(tree: Any, path: tuple[Any, ...]) -> Iterator[HostileBody]:
    key = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    where = "/".join(map(str, path))
    present = _parent(tree, path)[path[-1]]
    values = [*_VALUES, ("in a list", [present]), ("in an object", {"value": present})]
    if isinstance(present, int) and not isinstance(present, bool):
        values += [("one more", present + 1), ("a hundredfold", present * 100)]
        values += [("negative", -present), ("a hundredth", present / 100)]
    if isinstance(present, str):
        values += [("longer", present + "0"), ("shorter", present[:-1] or "x")]
        values += [
            ("other money", _OTHER_MONEY.get(present, "XXX")),
            ("in capitals", present.swapcase()),
        ]
    for name, value in values:
        # JSON's `==` would call True the same as 1.
        if value == present and type(value) is type(present):
            continue
        changed = copy.deepcopy(tree)
        _parent(changed, path)[path[-1]] = value
        yield HostileBody(f"{where}: {name}", _dumped(changed), key)
    changed = copy.deepcopy(tree)
    del _parent(changed, path)[path[-1]]
    yield HostileBody(f"{where}: missing", _dumped(changed), key)


def _parent(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        tree = tree[part]
    return tree


def _dumped(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _whole(good: bytes, random: Random) -> Iterator[HostileBody]:
    fixed: dict[str, bytes] = {
        "empty": b"",
        "blank": b" \r\n ",
        "null": b"null",
        "number": b"1000",
        "text": b'"approved"',
        "list": b"[" + good + b"]",
        "empty list": b"[]",
        "empty object": b"{}",
        "twice": good + good,
        "garbage after it": good + b"}",
        "garbage before it": b")]}',\n" + good,
        "html": b"<html><body>It works!</body></html>",
        "html around it": b"<html><body>" + good + b"</body></html>",
        "deep": b"[" * 20_000,
        "deep objects": b'{"a":' * 20_000,
        "deep markup": b"<a>" * 20_000,
        "utf-16": good.decode("latin-1").encode("utf-16"),
        "utf-32": good.decode("latin-1").encode("utf-32"),
        "not utf-8": good + b"\xff\xfe",
        "zipped": gzip.compress(good, mtime=0),
        "nuls": b"\x00" * 100,
        "nul in the middle": good[: len(good) // 2] + b"\x00" + good[len(good) // 2 :],
        "single quotes": good.replace(b'"', b"'"),
        "reversed": good[::-1],
    }
    for name, content in fixed.items():
        yield HostileBody(name, content)
    for _ in range(60):
        end = random.randrange(len(good) or 1)
        yield HostileBody(f"cut after {end} bytes", good[:end])
    for _ in range(20):
        start = random.randrange(1, len(good) or 2)
        yield HostileBody(f"cut before byte {start}", good[start:])


def _flipped(content: bytes, random: Random) -> HostileBody:
    """Some bytes changed to ones that cannot make another good value of it."""
    spoiled = bytearray(content or b"x")
    for _ in range(random.randint(1, 4)):
        spoiled[random.randrange(len(spoiled))] = random.choice(b"\x00\x01\x7f\x80\xfe\xff")
    return HostileBody("bytes changed", bytes(spoiled))
