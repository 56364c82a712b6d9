"""An older snapshot does not bring back what was forgotten after it was taken."""

from pathlib import Path

import pytest

from streammf import failpoints
from streammf.errors import StoreError
from streammf.learning.tables import Axis
from streammf.state import snapshots
from streammf.state.digest import digest
from streammf.state.examination import examine
from streammf.state.forgotten import BLANK
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.forgetters import Kept, in_files, learn, learn_of, number
from tests.state.test_forgotten import record

SECRET = "0123456789abcdef" * 2
OTHER = record(b'{"user": "other", "item": "item-2", "value": "x"}')


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A store that forgot somebody and something after its snapshot `old` was taken."""
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as store:
        kept = Kept(store)
        learn_of(kept.model, [SECRET, "gone before"], ["item-1", "item-2"])
        kept.forget(Axis.USER, "gone before")
        learn(kept.model, 1)
        kept.commit([record(b'{"user": "%s", "value": "x"}' % SECRET.encode()), OTHER, record(b"[]")])
        snapshots.create(store, tmp_path / "old")
        learn(kept.model, 2)
        kept.forget(Axis.USER, SECRET)
        kept.forget(Axis.ITEM, "item-1")
        learn(kept.model, 3)
        kept.commit()
    return tmp_path


def test_what_is_restored_over_a_store_stays_forgotten(told: Path) -> None:
    assert in_files(told / "old", SECRET)
    snapshots.restore(told / "old", told / "store", overwrite=True)
    with Store.open(StoreOptions(path=str(told / "store"))) as store:
        kept = Kept(store)
        with store.read() as reading:
            entries, aside = reading.forgotten(), dict(reading.quarantined())
    assert kept.model.users.rows([SECRET, "gone before"]).tolist() == [-1, -1]
    assert kept.model.items.rows(["item-1", "item-2"]).tolist()[0] == -1
    assert sorted((e.axis, e.offset, e.cleared) for e in entries) == [
        (Axis.USER, 2, 0),
        (Axis.USER, 602, 0),
        (Axis.USER, 602, 1),
        (Axis.ITEM, 602, 0),
        (Axis.ITEM, 602, 1),
    ]
    assert kept.meta.events == 302
    assert [(one.commit, one.positions[0].next) for one in kept.meta.cleared] == [(1, 302)]
    assert (aside[0].detail, aside[1], aside[2].detail) == (BLANK, OTHER, BLANK)
    assert examine(told / "store", lambda *_: None).problems == []
    assert sorted(path.name for path in (told / "store").iterdir() if path.is_dir()) == []


def test_where_nothing_was_forgotten_since_the_restored_store_is_the_snapshot(told: Path) -> None:
    with snapshots.opened(told / "old") as old:
        wanted = digest(old)
    snapshots.restore(told / "old", told / "another")
    with Store.open_readonly(told / "another") as restored:
        assert digest(restored) == wanted
        meta = restored.meta()
    assert meta
    assert meta.cleared == []


def test_a_snapshot_of_another_store_is_restored_as_it_is(told: Path, tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path / "other"))) as store:
        kept = Kept(store)
        learn_of(kept.model, [SECRET], ["item-1"])
        kept.commit()
        snapshots.create(store, tmp_path / "foreign")
    snapshots.restore(tmp_path / "foreign", told / "store", overwrite=True)
    with Store.open(StoreOptions(path=str(told / "store"))) as store:
        assert Kept(store).model.users.rows([SECRET]).tolist() == [0]


@pytest.mark.parametrize("place", ["restore.cleared", "restore.synced"])
def test_a_restore_that_fails_leaves_the_store_and_the_next_one_is_whole(told: Path, place: str) -> None:
    with Store.open_readonly(told / "store") as store:
        before = digest(store)
    failpoints.arm(f"{place}=raise")
    try:
        with pytest.raises(Exception, match=place):
            snapshots.restore(told / "old", told / "store", overwrite=True)
    finally:
        failpoints.arm("")
    with Store.open_readonly(told / "store") as store:
        assert digest(store) == before
    test_what_is_restored_over_a_store_stays_forgotten(told)


def test_a_store_that_is_damaged_is_no_reason_not_to_restore(told: Path) -> None:
    (told / "store" / "data.mdb").write_bytes(b"nothing of the kind")
    snapshots.restore(told / "old", told / "store", overwrite=True)
    with Store.open(StoreOptions(path=str(told / "store"))) as store:
        assert Kept(store).model.users.rows([SECRET]).tolist() == [0], "nobody knows any more"


def test_learning_goes_on_after_a_clearing_as_after_any_recovery(told: Path) -> None:
    snapshots.restore(told / "old", told / "store", overwrite=True)
    with Store.open(StoreOptions(path=str(told / "store"))) as store:
        one, two = Kept(store), Kept(store)
        learn(one.model, 5)
        learn(two.model, 5, size=7)
        assert number(one.model) == number(two.model)


def test_what_was_restored_can_be_a_snapshot_that_is_restored_again(told: Path) -> None:
    snapshots.restore(told / "old", told / "store", overwrite=True)
    with Store.open(StoreOptions(path=str(told / "store"))) as store:
        snapshots.create(store, told / "new")
        wanted = digest(store)
    snapshots.restore(told / "old", told / "store", overwrite=True)
    with Store.open_readonly(told / "store") as store:
        assert digest(store) == wanted
    with pytest.raises(StoreError, match="holds a store already"):
        snapshots.restore(told / "new", told / "store")
