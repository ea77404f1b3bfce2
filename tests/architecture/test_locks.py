"""The lock files: they pin what pyproject.toml asks for, with hashes, and name no address."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement

from tests.architecture.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHECKOUT = (ROOT / "requirements.lock").read_text()
IMAGE = (ROOT / "deploy/requirements.lock").read_text()
BENCH = (ROOT / "benchmarks/requirements.lock").read_text()
HOW = "run scripts/lock"


def pins(lock: str) -> dict[str, str]:
    """The pinned version of each package."""
    found = re.findall(r"^([\w.\-]+)(?:\[[\w,\-]+\])?==([^\s;]+)", lock, flags=re.MULTILINE)
    return dict(found)


def test_a_lock_pins_every_dependency_within_its_range() -> None:
    for lock, asked in (
        (CHECKOUT, PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
        (CHECKOUT, PROJECT["build-system"]["requires"]),
        (IMAGE, PROJECT["project"]["dependencies"]),
        (BENCH, PROJECT["dependency-groups"]["bench"]),
    ):
        pinned = pins(lock)
        for requirement in map(Requirement, asked):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            assert name in pinned, f"{name} is not locked: {HOW}"
            assert pinned[name] in requirement.specifier, f"{name} {pinned[name]}: {HOW}"


def test_every_pin_has_hashes_and_no_address() -> None:
    for lock in (CHECKOUT, IMAGE, BENCH):
        blocks = re.split(r"\n(?=\S)", lock.strip())
        assert blocks
        assert [block for block in blocks if "--hash=sha256:" not in block] == []
        assert "://" not in lock
        assert "--index-url" not in lock


def test_the_image_has_what_the_checkout_has_and_no_tool_for_tests() -> None:
    assert pins(IMAGE).items() <= pins(CHECKOUT).items(), HOW
    assert "pytest" in pins(CHECKOUT)
    assert "pytest" not in pins(IMAGE)


def test_the_benchmarks_run_with_the_versions_of_the_checkout() -> None:
    """What they measure would be another program otherwise."""
    checkout, bench = pins(CHECKOUT), pins(BENCH)
    shared = checkout.keys() & bench.keys()
    assert "psycopg" in shared
    assert {name: bench[name] for name in shared} == {name: checkout[name] for name in shared}, HOW
