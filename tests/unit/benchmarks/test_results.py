"""Results: kept, found again, judged and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report, results
from benchmarks.bars import FIGURES, Bar, Reading
from benchmarks.results import NoSuchResult, Result


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return tmp_path


def result(name: str, *readings: Reading, cores: int = 2) -> Result:
    made = Result(name, "2026-11-24T10:00:00Z", {"cores": cores}, list(readings))
    made.save()
    return made


def printed(what: object) -> str:
    console = Console(width=200, record=True, file=None)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_bar_holds_at_its_limit_and_not_beyond() -> None:
    assert Bar("<=", 1.4).holds(1.4)
    assert not Bar("<=", 1.4).holds(1.41)
    assert Bar(">=", 0.8).holds(0.8)
    assert not Bar(">=", 0.8).holds(0.79)


def test_missed_bar_is_said_to_be_missed() -> None:
    assert Reading("throughput.8.bare", 0.79).verdict == "missed"
    assert Reading("throughput.8.bare", 0.81).verdict == "met"
    assert Reading("throughput.8.peer", 0.1).verdict == ""
    assert Reading("growth.time.8", 1.0).verdict == "met"
    assert Reading("growth.time.8", 1.0, smaller=True).verdict == ""


def test_every_figure_says_what_it_is_and_how_it_is_measured() -> None:
    assert all(figure.title and figure.measure for figure in FIGURES.values())
    bars = [figure.bar for figure in FIGURES.values() if figure.bar is not None]
    assert len(bars) > 20


def test_result_is_found_again_as_it_was() -> None:
    kept = result("one", Reading("cpu.bare", 2.5, 2.4, 2.6, "a note"))
    assert results.load("one") == kept


def test_unknown_result_is_named_with_those_that_exist() -> None:
    result("one")
    with pytest.raises(NoSuchResult, match="one"):
        results.load("two")


def test_comparison_takes_the_last_two_and_refuses_a_single_one() -> None:
    result("1")
    with pytest.raises(NoSuchResult, match="two results"):
        results.two([])
    result("2")
    result("3")
    assert [found.name for found in results.two([])] == ["2", "3"]
    assert [found.name for found in results.two(["1", "3"])] == ["1", "3"]


def test_table_shows_figure_spread_bar_and_verdict() -> None:
    table = printed(report.table(result("1", Reading("cpu.bare", 2.61, 2.4, 2.7))))
    line = next(line for line in table.splitlines() if "CPU of one" in line)
    assert "2.61 (2.4 to 2.7)" in line
    assert "<= 2.5" in line
    assert "missed" in line


def test_comparison_shows_the_change_and_another_machine() -> None:
    before = result("1", Reading("cpu.bare", 4.0), Reading("cpu.peer", 5.0))
    after = result("2", Reading("cpu.bare", 2.0), cores=4)
    shown = printed(report.comparison(before, after))
    assert "-50.0 %" in shown
    assert "missed, now met" in shown
    assert "all of peer" not in shown
    assert "cores: 2 before, 4 after" in shown


@pytest.mark.parametrize(
    ("value", "text"), [(15, "15"), (0.5137, "0.514"), (2.0, "2"), (123.4, "123"), (99.96, "100")]
)
def test_number_shows_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


def test_machine_is_described_without_its_name_and_paths() -> None:
    described = str(results.describe_machine())
    assert "commit" in described
    assert str(Path.home()) not in described
    assert str(results.ROOT) not in described
