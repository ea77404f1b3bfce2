"""`recompense providers new`: the skeleton of an adapter, whose conformance run says what to do
next.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from recompense.ops.terminal import WrongUse

_NAME = re.compile(r"[a-z][a-z0-9_]{1,15}", re.ASCII)
_FILES = ("__init__", "config", "policy", "client", "translate", "webhooks", "adapter")
_REGISTRY = Path("adapters/registry.py")
_OPENING = "REGISTRATIONS: Mapping[str, Registration[Any]] = {\n"
_IMPORTS = re.compile(r"(?:^from adapters\.[\w.]+ import .*\n)+", re.MULTILINE)
_IMPORT = re.compile(r"^import adapters\.\w+\n", re.MULTILINE)


@dataclass(frozen=True)
class Skeleton:
    """What was written, below the root of the checkout."""

    files: tuple[Path, ...]
    next_steps: tuple[str, ...]


def write_skeleton(name: str, root: Path) -> Skeleton:
    """Write the adapter's folder, its conformance target and its line in the registry.

    Raises `WrongUse`, and writes nothing, when the name cannot be a module's, when there is such an
    adapter, or when `root` is no checkout of the platform.
    """
    registry = root / _REGISTRY
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise WrongUse(f"{name!r} is no name of an adapter: 2 to 16 lower case letters, digits, _.")
    if not registry.is_file() or _OPENING not in registry.read_text(encoding="utf-8"):
        raise WrongUse(f"{root} holds no {_REGISTRY}: run this where the sources are.")
    target = Path("tests/conformance/vendors") / f"{name}.py"
    files = {Path("adapters") / name / f"{part}.py": f"{part}.py.txt" for part in _FILES}
    files[target] = "target.py.txt"
    for path in files:
        if (root / path).exists():
            raise WrongUse(f"{path} is there already.")
    for path, template in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(_filled(template, name), encoding="utf-8")
    registry.write_text(_registered(registry.read_text(encoding="utf-8"), name), encoding="utf-8")
    return Skeleton(
        (*files, _REGISTRY),
        (
            f"adapters/{name}/policy.py: say what {name} can do, and how patiently it is called",
            f"{target}: start a stand-in of {name}",
            f".venv/bin/pytest -x tests/conformance -k {name}: it says what to do next",
        ),
    )


def _filled(template: str, name: str) -> str:
    text = resources.files("recompense.ops").joinpath("skeleton", template)
    class_name = "".join(part.capitalize() for part in name.split("_"))
    filled = text.read_text(encoding="utf-8").replace("{{name}}", name)
    return _IMPORTS.sub(_sorted, filled.replace("{{Name}}", class_name))


def _sorted(lines: re.Match[str]) -> str:
    """Where a name stands among its neighbours depends on the name."""
    return "".join(sorted(lines[0].splitlines(keepends=True)))


def _registered(registry: str, name: str) -> str:
    """The registry with the new line, its imports in order."""
    imports = sorted({*_IMPORT.findall(registry), f"import adapters.{name}\n"})
    first = _IMPORT.search(registry)
    start = first.start() if first else registry.index(_OPENING)
    rest = _IMPORT.sub("", registry[start:])
    line = f"    adapters.{name}.REGISTRATION.name: adapters.{name}.REGISTRATION,\n"
    return registry[:start] + "".join(imports) + rest.replace(_OPENING, _OPENING + line)
