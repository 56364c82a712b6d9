"""The growth benchmark in its short form: that it measures what it says. Never how long anything takes."""

from pathlib import Path

import pytest

from scripts.benchmarks import growth
from scripts.benchmarks.report import Bar
from scripts.benchmarks.settings import learning
from streammf.learning.tables import TABLES, Axis, in_use, row_bytes


def test_a_short_run_finds_every_figure_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That what was stored can be read back and learned on with is part of it: the start."""
    for name, value in {"USERS": (1000, 3000), "ITEMS": (200,), "FIXED_USERS": 1000, "FIXED_ITEMS": 200}.items():
        monkeypatch.setattr(growth, name, value)
    report = growth.run("scripts/bench growth", 3000, 1000, tmp_path, commits=1)
    assert not list(tmp_path.iterdir())
    figures = {row.name: row for row in report.rows}
    for spread in ("zipf", "uniform"):
        begins = f"3,000 users, 200 items, {spread}"
        assert figures[f"{begins}: an event"].middle > 0
        assert figures[f"{begins}: events a commit"].middle == 20_000
        assert 50 < figures[f"{begins}: rows it changes"].middle < 250
        assert figures[f"{begins}: longest copy"].bar == Bar("at most", 50)
        assert figures[f"users, {spread}: µs an event, most / least"].middle > 0
    dimensions = learning("ranking").dimensions
    declared = sum(row_bytes(table, dimensions) for table in in_use(TABLES, dimensions) if table.axis == Axis.USER)
    assert figures["live memory as declared, ranking: a user"].middle == declared
    assert figures["3,000 users, 200 items: start until it learns"].middle > 0
    assert figures["rating, 10^3 users, 200 items, zipf: an event"].middle > 0
