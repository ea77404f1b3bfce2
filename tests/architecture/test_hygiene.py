"""Nothing in the repository ties it to one machine, one registry or one workplace."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import ROOT, report, tracked_files

# Spelled in pieces, so that this file does not break its own rules.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("rubygems", "org"),
        ("repo", "maven"),
    )
]
HOST = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS), re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.}*$-])/(?:" + "|".join(("work", "root", "tmp")) + r")\b(?!:)")
OUTSIDE = re.compile(r"(?<![\w-])(?:\.\./)+" + "shared" + r"\b|\bshared/" + r"(?:design|hooks)\b")

IN_CONTAINERS = ("docker-compose.yml", "deploy/")
"""A container's paths are its own, the same on every machine."""

RULES = {
    "registry": (
        HOST,
        "A registry's host in a file breaks every mirror and every offline build. Locks carry"
        " hashes and no addresses; installers are configured on the machine:",
    ),
    "machine": (
        MACHINE_PATH,
        "An absolute path of one machine exists on no other. Make it from the file's own place,"
        " from a setting, or from tempfile:",
    ),
    "outside": (
        OUTSIDE,
        "The project is complete by itself: say here what it needs to say:",
    ),
}


def _text_lines(path: str) -> Iterator[tuple[int, str]]:
    content = (ROOT / path).read_bytes()
    if b"\0" in content:
        return
    yield from enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1)


@pytest.mark.parametrize("rule", RULES)
def test_no_file_names_what_is_outside(rule: str) -> None:
    pattern, why = RULES[rule]
    found = [
        f"{path}:{number}: {match.group()}"
        for path in tracked_files()
        if not (rule == "machine" and path.startswith(IN_CONTAINERS))
        for number, line in _text_lines(path)
        if (match := pattern.search(line))
    ]
    report(found, why)


def test_outside_name_is_found() -> None:
    assert HOST.search("https://files." + REGISTRY_HOSTS[1] + "/packages")
    assert MACHINE_PATH.search("open('/" + "tmp/x')")
    assert MACHINE_PATH.search("cd /" + "work")
    assert not MACHINE_PATH.search("GET /workflows")
    assert OUTSIDE.search("see ../" + "shared/notes")
