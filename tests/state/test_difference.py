"""What moved between two stores."""

from pathlib import Path

import numpy as np
import pytest

from streammf.errors import StoreError
from streammf.learning.tables import Axis
from streammf.recommender import Recommender
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.difference import difference
from streammf.state.meta import Position
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, mark, meta, model
from tests.state.stores import some_commits


def test_a_store_does_not_differ_from_its_own_snapshot(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(some_commits(tmp_path / "store")))) as store:
        snapshots.create(store, tmp_path / "copy")
        with snapshots.opened(tmp_path / "copy") as copy:
            found = difference(copy, store)
    assert found.positions == [("events", 0, 30, 30), ("events", 1, 21, 21)]
    assert found.other_logs == found.settings == []
    assert {moved.changed for moved in found.columns} == {0}
    assert all(moved.mean in {0.0, None} for moved in found.columns)
    assert all(before == after for before, after in found.counts.values())


def test_one_row_that_moved_is_found_with_how_far(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as store:
        made, last = model(), meta()
        copier = Copier(*made)
        change(made, 1)
        made.memory.arrays["items"].factor[:] = 0.0
        last = commit(store, copier, last, 1)
        snapshots.create(store, tmp_path / "copy")
        items = made.memory.arrays["items"]
        items.factor[1, :2] = [3.0, 4.0]
        mark(made.memory, next(table for table in made.memory.tables if table.name == "items"), np.array([1]))
        commit(store, copier, last, 2)
        with snapshots.opened(tmp_path / "copy") as copy:
            found = difference(copy, store)
    rows = found.counts["item"][0]
    moved = {(each.table, each.column): each for each in found.columns}
    factor = moved.pop(("items", "factor"))
    assert (factor.rows, factor.changed, factor.most, factor.length) == (rows, 1, 5.0, 0.0)
    assert factor.mean == pytest.approx(5.0 / rows)
    assert {each.changed for each in moved.values()} == {0}
    assert found.events == (1, 2)


def test_rows_of_other_ids_are_counted_and_not_compared(tmp_path: Path) -> None:
    for name, users in (("one", ["ann", "ben", "cid"]), ("two", ["ann", "bob", "cid", "dan"])):
        recommender = Recommender("ranking", factors=4, history=3, recent=50)
        recommender.learn(users, ["film"] * len(users))
        recommender.save(tmp_path / name)
    with snapshots.opened(tmp_path / "one") as one, snapshots.opened(tmp_path / "two") as two:
        found = difference(one, two)
    assert found.other_ids == {"user": 1, "item": 0}
    assert found.counts["user"] == (3, 4)
    assert {moved.rows for moved in found.columns if moved.table == "users"} == {2}


def test_models_of_other_widths_are_compared_as_far_as_they_can_be(tmp_path: Path) -> None:
    for name, factors in (("one", 4), ("two", 5)):
        recommender = Recommender("ranking", factors=factors, history=3, recent=50)
        recommender.learn(["ann"], ["film"])
        recommender.save(tmp_path / name)
    with snapshots.opened(tmp_path / "one") as one, snapshots.opened(tmp_path / "two") as two:
        found = difference(one, two)
    assert found.settings == ["factors"]
    assert found.columns == []


def test_another_log_under_the_same_name_is_said_and_so_is_a_store_without_a_model(tmp_path: Path) -> None:
    some_commits(tmp_path / "one")
    with Store.open(StoreOptions(path=str(tmp_path / "two"))) as two:
        made = model()
        made.memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
        with Store.open_readonly(tmp_path / "one") as one, pytest.raises(StoreError, match="holds no model yet"):
            difference(one, two)
        other = meta()
        two.commit(Copier(*made).take(), type(other)(**{
            **{name: getattr(other, name) for name in other.__struct_fields__},
            "positions": [Position("events", 0, 3, "another id")],
        }))  # fmt: skip
        with Store.open_readonly(tmp_path / "one") as one:
            found = difference(one, two)
    assert found.other_logs == ["events"]
    assert found.positions == [("events", 0, 30, 3), ("events", 1, 21, None)]
