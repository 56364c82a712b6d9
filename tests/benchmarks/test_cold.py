"""The benchmark of cold start in its short form: that its figures are what they are called. Never how long anything takes."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks import cold
from scripts.benchmarks.described import GENRES, movielens_genres, shop


def test_a_shop_describes_its_items_before_they_are_chosen_and_users_before_they_choose() -> None:
    log = shop(300, users=40, items=50)
    assert log.events.items == shop(300, users=40, items=50).events.items
    first = {("user", user): n for n, user in reversed([*enumerate(log.events.users)])}
    first |= {("item", item): n for n, item in reversed([*enumerate(log.events.items)])}
    said = {(one.kind, one.id): one.before for one in log.controls}
    assert all(said[named] <= place for named, place in first.items())
    assert [one.before for one in log.controls] == sorted(one.before for one in log.controls)


def test_groups_go_by_what_came_before() -> None:
    log = shop(400, users=30, items=40)
    few, young, none, others = cold.groups(log)
    events = log.events
    for n in range(400):
        new = events.items[n] not in {events.items[m] for m in range(n) if events.users[m] == events.users[n]}
        counted = n >= 40 and new
        assert few[n] == (counted and events.users[:n].count(events.users[n]) < 3)
        assert young[n] == (counted and events.items[:n].count(events.items[n]) < 20)
        assert none[n] == (counted and events.items[n] not in events.items[:n])
        assert others[n] == (counted and not few[n] and not young[n])


def test_the_report_has_a_figure_for_every_group_and_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "MOST", 20)
    monkeypatch.setattr(cold, "shop", lambda events: shop(events, users=40, items=50))
    report = cold.run("scripts/bench cold", None, events=400, runs=1)
    recall = [row for row in report.rows if row.unit == "recall@10"]
    assert len(recall) == len(cold.GROUPS) * len(cold.VARIANTS)
    assert all(0 <= row.middle <= 1 for row in recall)
    assert [row.beside["change"] for row in recall[: len(cold.GROUPS)]] == [0.0] * len(cold.GROUPS)
    unseen = [row.middle for row in recall if cold.GROUPS[2] in row.name]
    assert unseen[0] == 0.0, "without attributes nothing lists what nobody chose"
    assert len([row for row in report.rows if row.unit == "µs an event"]) == len(cold.COSTS)


def test_genres_are_those_of_the_file(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "ml-100k.csv.gz", "wt") as file:
        file.write("user,item,value,timestamp\n1,7,5,10\n2,8,3,11\n")
    (tmp_path / GENRES).write_text("7|A film|d||u|0|1|1\n", encoding="latin-1")
    log = movielens_genres(tmp_path)
    assert log.events.items == ["7"]
    assert [(one.id, one.attributes.categories) for one in log.controls] == [("7", ("genre 1", "genre 2"))]
    assert np.all(log.events.values == 5)
