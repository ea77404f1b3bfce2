"""What tests do to the workers and the API of a stack of their own, and how they ask for it.

A stack hands its environment on to both; those with the hook on their path read it there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from tests.support import builds, crash_points

_SITE = Path(__file__).with_name("worker_site")
_ROOT = Path(__file__).parents[2]
_CRASH_FILE = "RECOMPENSE_TEST_CRASH_POINT"
_BUILD_FILE = "RECOMPENSE_TEST_BUILD"
_FAR_PORTS = "RECOMPENSE_TEST_FAR_PORTS"
_ADDRESSES = ("TEMPORAL_ADDRESS", "RECOMPENSE_DATABASE_URL", "RECOMPENSE_SANDBOX_URL")


def settings(
    *,
    crash_file: Path | None = None,
    build_file: Path | None = None,
    far_ports: Mapping[int, int] | None = None,
) -> dict[str, str]:
    """The environment of a stack whose workers do as they are told.

    `crash_file`: where crashes are armed. `build_file`: which build a worker is that starts.
    `far_ports`: by which port a worker reaches what listens at another.
    """
    asked: dict[str, str] = {"PYTHONPATH": os.pathsep.join((str(_SITE), str(_ROOT)))}
    if crash_file is not None:
        asked[_CRASH_FILE] = str(crash_file)
    if build_file is not None:
        asked[_BUILD_FILE] = str(build_file)
    if far_ports is not None:
        asked[_FAR_PORTS] = json.dumps({str(port): far for port, far in far_ports.items()})
    return asked


def install(environment: MutableMapping[str, str]) -> None:
    """Do in this worker process what its environment asks for."""
    if _FAR_PORTS in environment:
        _go_far(environment, json.loads(environment[_FAR_PORTS]))
    if _CRASH_FILE in environment:
        crash_points.install(environment[_CRASH_FILE])
    if _BUILD_FILE in environment:
        builds.install(Path(environment[_BUILD_FILE]))


def install_in_api(environment: MutableMapping[str, str]) -> None:
    """Do in this API process what its environment asks for."""
    if _CRASH_FILE in environment:
        crash_points.install_in_api(environment[_CRASH_FILE])


def _go_far(environment: MutableMapping[str, str], ports: Mapping[str, int]) -> None:
    for name in _ADDRESSES:
        for port, far in ports.items():
            environment[name] = environment[name].replace(f":{port}", f":{far}")
