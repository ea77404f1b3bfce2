"""Cases by name, one a line with the reason behind a `#`; `cases.txt` is committed.

A failing case of a run is shrunk and added to `found.txt`, which is played first from then on.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_SEPARATOR = "  # "


def kept() -> list[str]:
    """The names of all kept cases, those of the last failing run first."""
    return _names("found.txt", "cases.txt")


def _names(*files: str) -> list[str]:
    names: list[str] = []
    for file in (_HERE / name for name in files):
        if file.exists():
            lines = file.read_text().splitlines()
            names += [line.partition(_SEPARATOR)[0].strip() for line in lines if line.strip()]
    return list(dict.fromkeys(names))


def keep(name: str, words: str) -> None:
    """Add a failing case."""
    if name not in kept():
        with (_HERE / "found.txt").open("a") as file:
            file.write(f"{name}{_SEPARATOR}{words}\n")
