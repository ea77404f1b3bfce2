"""Files and functions stay small enough to be read at once, and hold nothing left over."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.architecture.source import PRODUCT, Module, broken_by, findings, modules, report

EVERYTHING = (*PRODUCT, "tests", "benchmarks", "scripts")
LONGEST_FUNCTION = 70
LONGEST_FILES = {"workflows/": 300, "adapters/": 250, "": 400}
LEFT_OVER = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b"
)


def functions_are_short(module: Module) -> Iterator[str]:
    """No function is longer than a screen."""
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield module.at(node, f"{node.name} has {length} lines")


def file_is_short(module: Module) -> Iterator[str]:
    """No file is longer than its kind may be."""
    limit = next(lines for top, lines in LONGEST_FILES.items() if module.path.startswith(top))
    if module.lines > limit:
        yield f"{module.path}: {module.lines} lines, {limit} are the most"


def prints(module: Module) -> Iterator[str]:
    """Programs log, commands write through rich or typer."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "pprint"}:
            yield module.at(node, ast.unparse(node.func))


def leaves_work_in_comments(module: Module) -> Iterator[str]:
    """Open work is an issue, not a comment."""
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT and LEFT_OVER.search(token.string):
            yield f"{module.path}:{token.start[0]}: {token.string}"


def has_a_docstring(module: Module) -> Iterator[str]:
    """Every module says what it is for."""
    if module.text.strip() and ast.get_docstring(module.tree) is None:
        yield f"{module.path}:1: no docstring"


def test_functions_fit_on_a_screen() -> None:
    report(
        findings(functions_are_short, *EVERYTHING),
        f"A function of more than {LONGEST_FUNCTION} lines does more than one thing. Keep the"
        " branching in it and move straight pieces into helpers that say what they do:",
    )


def test_files_stay_short() -> None:
    report(
        findings(file_is_short, *EVERYTHING),
        "A long file has two subjects. Split it by subject, not by size:",
    )


def test_half_of_all_functions_are_under_twelve_lines() -> None:
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules(*PRODUCT)
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    median = lengths[len(lengths) // 2]
    assert median < 12, f"The median function has {median} lines; twelve is where reading slows."


def test_nothing_prints() -> None:
    report(
        findings(prints, *PRODUCT, "scripts", "benchmarks"),
        "Output that nobody asked for ends in the wrong place. Log with structlog, or write a"
        " command's answer through typer or rich:",
    )


def test_no_work_is_left_in_comments() -> None:
    report(
        findings(leaves_work_in_comments, *EVERYTHING),
        "A note to do something later is never read again. Do it, or open an issue:",
    )


def test_every_module_says_what_it_is_for() -> None:
    report(
        findings(has_a_docstring, *PRODUCT, "scripts", "benchmarks"),
        "The first line of a module tells a newcomer whether to read on. Write it:",
    )


def test_too_long_is_found() -> None:
    body = "    x = 1\n"
    assert broken_by(functions_are_short, "def long() -> None:\n" + body * LONGEST_FUNCTION)
    assert not broken_by(functions_are_short, "def short() -> None:\n" + body * 5)
    assert broken_by(file_is_short, "x = 1\n" * 401)
    assert list(file_is_short(Module("workflows/long.py", "x = 1\n" * 301)))
    assert list(file_is_short(Module("adapters/long.py", "x = 1\n" * 251)))


def test_left_over_is_found() -> None:
    assert broken_by(prints, "print('here')")
    assert broken_by(leaves_work_in_comments, "x = 1  # " + "TO" + "DO: later")
    assert broken_by(has_a_docstring, "x = 1")
