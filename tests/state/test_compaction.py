"""After compaction no file of a store holds what was forgotten or dropped, and it is the same store."""

import os
import signal
from pathlib import Path

import pytest

from streammf import failpoints
from streammf.errors import StoreBusyError, StoreError
from streammf.learning.tables import Axis
from streammf.state import snapshots
from streammf.state.compaction import compact
from streammf.state.digest import digest
from streammf.state.examination import examine
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.forgetters import Kept, in_files, learn, learn_of
from tests.state.stores import elsewhere
from tests.state.test_forgotten import record

SECRET = os.urandom(16).hex()


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A store that had somebody in every place, committed, and was told to forget."""
    folder = tmp_path / "store"
    with Store.open(StoreOptions(path=str(folder))) as store:
        kept = Kept(store)
        for seed in range(3):
            learn(kept.model, seed)
            learn_of(kept.model, [SECRET, SECRET], ["item-1", f"{SECRET[::-1]}"])
            kept.commit([record(b'{"user": "%s", "value": "x"}' % SECRET.encode())])
        kept.forget(Axis.USER, SECRET)
        kept.forget(Axis.ITEM, SECRET[::-1])
        kept.commit()
    assert in_files(folder, SECRET), "it still stands in free pages: the test is about something"
    return folder


def test_nothing_of_it_is_in_any_file_and_the_store_is_the_same(told: Path) -> None:
    with Store.open_readonly(told) as store:
        before, key, meta = digest(store), store.key, store.meta()
    sizes = compact(told)
    assert in_files(told, SECRET) == in_files(told, SECRET[::-1]) == []
    assert sizes.after == (told / "data.mdb").stat().st_size
    assert sorted(path.name for path in told.iterdir()) == ["data.mdb", "owner.lock"]
    with Store.open_readonly(told) as store:
        assert (digest(store), store.key, store.meta()) == (before, key, meta)
    assert examine(told, lambda *_: None).problems == []
    with Store.open(StoreOptions(path=str(told))) as store:
        kept = Kept(store)
        learn(kept.model, 9)
        kept.commit()
        snapshots.create(store, told.parent / "new")
    assert in_files(told.parent, SECRET) == []


def test_a_store_that_somebody_owns_a_snapshot_and_nothing_are_refused(told: Path, tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(told))) as store:
        snapshots.create(store, tmp_path / "kept")
        with pytest.raises(StoreBusyError):
            compact(told)
    with pytest.raises(StoreError, match="is a snapshot"):
        compact(tmp_path / "kept")
    with pytest.raises(StoreError, match="no store"):
        compact(tmp_path / "nothing")


@pytest.mark.parametrize("place", ["compact.synced", "compact.renamed"])
def test_one_that_fails_leaves_a_whole_store(told: Path, place: str) -> None:
    with Store.open_readonly(told) as store:
        before = digest(store)
    failpoints.arm(f"{place}=raise")
    try:
        with pytest.raises(Exception, match=place):
            compact(told)
    finally:
        failpoints.arm("")
    with Store.open_readonly(told) as store:
        assert digest(store) == before
    compact(told)
    assert in_files(told, SECRET) == []


@pytest.mark.parametrize("place", ["compact.synced", "compact.renamed"])
def test_one_that_is_killed_leaves_a_whole_store_and_the_next_leaves_nothing_of_it(
    told: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open_readonly(told) as store:
        before = digest(store)
    monkeypatch.setenv("STREAMMF_FAILPOINTS", f"{place}=kill")
    done = elsewhere("from streammf.state.compaction import compact\ncompact(Path(sys.argv[1]))", told)
    assert done.returncode == -signal.SIGKILL
    with Store.open_readonly(told) as store:
        assert digest(store) == before
    compact(told)
    assert in_files(told, SECRET) == []
    assert sorted(path.name for path in told.iterdir()) == ["data.mdb", "owner.lock"]
