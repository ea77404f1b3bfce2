"""Where to look for a case that catches a planted defect."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.scenes import SCENES

PLAIN = ("-/-",)
FAULTS = (
    "F3@{}#1x1/-",
    "F1@{}#1x99/-",
    "F16@{}#1x1/-",
    "F12@{}#1x1/-",
    "F15@{}#1x1/-",
    "F19@{}#1x1/-",
    "F1@{}#1x3+slow@{}#4x1/-",
    "F1@{}#1x3+astray@{}#4x1/-",
    "F3@{}#1x1+F16@lookup#1x99/-",
    "F2@{}#1x1+invisible@lookup#1x3/-",
)
DISTURBANCES = (
    *(f"-/{kind}@{point}" for kind in ("crash_after", "cut_after") for point in (1, 2, 3, 4)),
    *(f"-/{kind}@{point}" for kind in ("cancel", "copy", "restart") for point in (1, 2, 3)),
    "-/reset@1:0",
    "-/reset@2:0",
    "-/reset@2:1",
    "-/reset@3:2",
    "-/reset_late@0:0",
    "-/reset_late@0:1",
    "-/copy_late@0",
    "-/hook@0.5",
    "-/hook@0.02",
    "-/hook_twice@0.5",
    "-/still@7",
    "-/still@30",
    "-/lose_try@1",
)
BOTH = tuple(
    f"{faults}/{trouble}"
    for faults in (
        "F1@{}#1x99",
        "F16@{}#1x1",
        "F12@{}#1x1",
        "F3@{}#1x1",
        "F1@{}#1x3+astray@{}#4x1",
    )
    for trouble in (
        "reset_late@0:0",
        "reset_late@0:1",
        "copy_late@0",
        "copy@1",
        "copy@2",
        "cancel@1",
        "cancel@2",
        "reset@2:0",
        "reset@3:1",
        "crash_after@3",
        "crash_after@5",
        "crash_after@7",
        "cut_after@4",
        "cut_after@6",
        "hook@0.5",
    )
)


def candidates() -> Iterator[str]:
    """Cases to look among, simple ones first; each scene's own calls in place of `{}`."""
    for pattern in (*PLAIN, *FAULTS, *DISTURBANCES, *BOTH):
        for scene_name, scene in SCENES.items():
            for call in scene.calls or ("none",):
                if "{}" not in pattern or call != "none":
                    yield f"{scene_name}/{pattern.replace('{}', call)}/1"
