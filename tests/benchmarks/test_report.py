"""What a benchmark prints, and how it holds figures against bars."""

import json

import pytest

from scripts.benchmarks.report import Bar, Report, ratios


def report() -> Report:
    made = Report("title", "scripts/bench x")
    made.add("speed", [3.0, 1.0, 2.0], "events/s", Bar("at least", 2.0))
    made.add("delay", [3.0, 1.0, 2.0], "ms", Bar("at most", 1.5))
    made.add("size", [1234567.0], "bytes", note="told, not judged", beside={"error": 0.25})
    return made


def test_a_figure_is_the_median_of_its_runs_and_meets_its_bar_or_misses_it() -> None:
    speed, delay, size = report().rows
    assert (speed.middle, speed.met, delay.met, size.met) == (2.0, True, False, None)


def test_json_says_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    report().show(as_json=True)
    document = json.loads(capsys.readouterr().out)
    report().show(as_json=False)
    table = capsys.readouterr().out
    assert document["figures"][0] == {
        "name": "speed",
        "median": 2.0,
        "runs": [3.0, 1.0, 2.0],
        "unit": "events/s",
        "bar": {"side": "at least", "value": 2.0, "met": True},
        "note": "",
        "beside": {},
    }
    assert document["figures"][2]["beside"] == {"error": 0.25}
    assert "error" in table
    assert "0.2500" in table
    assert document["versions"]["python"] in table
    assert document["machine"]["cores"] in table
    assert "repeat: scripts/bench x" in table
    assert "at most 1.5: MISSED" in table
    assert "1,234,567" in table


def test_ratios_are_taken_run_by_run() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
