"""The recovery benchmark in its short form: that it measures what it says. Never how long anything takes."""

from pathlib import Path

import pytest

from scripts.benchmarks import recovery
from scripts.benchmarks.report import Bar

pytestmark = pytest.mark.timeout(300)


def test_a_short_run_finds_every_figure_with_no_request_failed_and_no_event_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That every event is learned once is checked in the run itself."""
    for name, value in {"USERS": (1000, 3000), "ITEMS": 200, "BARS": {1000: 5.0}, "BEFORE": 0.5, "STEADY": 0.0}.items():
        monkeypatch.setattr(recovery, name, value)
    report = recovery.run("scripts/bench recovery", 2999, 500, 1, tmp_path)
    assert sorted(path.name for path in (tmp_path / "recovery-1000").iterdir()) == ["log", "made", "store"]
    assert [path.name for path in tmp_path.iterdir()] == ["recovery-1000"], "no size beyond what was asked for"
    figures = {row.name.removeprefix("10^3 users, "): row for row in report.rows}
    for name in ("killed", "stopped"):
        steps = ("builds a generation", "learns", "has caught up")
        times = [figures[f"{name}: until it {step}"].middle for step in steps]
        assert 0 < times[0] <= times[1] <= times[2]
        assert (
            figures[f"{name}: until it builds a generation"].middle
            <= figures[f"{name}: until all workers answer from it"].middle
        )
        assert figures[f"{name}: answers meanwhile"].middle > 0
        assert figures[f"{name}: failed requests"].middle == 0
    assert figures["killed: until it learns"].bar == Bar("at most", 5)
    assert recovery.run("scripts/bench recovery", 1000, 500, 1, tmp_path).rows, "a store that is kept is used again"


def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "ITEMS", 200)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with recovery.made(1000, None) as place:
        assert (place / "store" / "data.mdb").exists()
    assert not list(tmp_path.iterdir())
