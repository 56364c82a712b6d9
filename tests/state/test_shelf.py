"""Places of snapshots: the same promises for a folder and for an object store."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from streammf.errors import ConfigurationError, StoreError
from streammf.learning.options import LearningOptions
from streammf.state import manifest, snapshots
from streammf.state.digest import digest
from streammf.state.manifest import Manifest
from streammf.state.options import StoreOptions
from streammf.state.shelf import LATEST, Folder, Shelf, listing, newest_good, on_shelf, retire, shelf_at
from streammf.state.store import Store
from tests.state.object_store import BUCKET, s3_server
from tests.state.stores import some_commits


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "folder":
        yield shelf_at(str(tmp_path / "shelf"))
        return
    with s3_server() as variables, mock.patch.dict(os.environ, variables):
        yield shelf_at(f"s3://{BUCKET}/some/prefix/")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    some_commits(tmp_path / "store")
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as opened:
        yield opened


def spoil(shelf: Shelf, name: str) -> None:
    """Flip a bit of the data, in whatever the shelf keeps."""
    with shelf.fetched(name) as folder:
        data = bytearray((folder / "data.mdb").read_bytes())
        data[len(data) // 2] ^= 1
        if isinstance(shelf, Folder):
            (folder / "data.mdb").write_bytes(data)
        else:
            shelf._objects.put(f"{name}/data.mdb.00000", bytes(data))  # type: ignore[attr-defined]


def test_a_snapshot_comes_back_as_it_was_taken(shelf: Shelf, store: Store, tmp_path: Path) -> None:
    made = shelf.add(store, "one")
    assert shelf.names() == ["one"]
    assert shelf.manifest("one") == shelf.verify("one") == made
    assert not made.scheduled
    with shelf.fetched("one") as folder:
        snapshots.restore(folder, tmp_path / "back")
    with Store.open_readonly(tmp_path / "back") as back:
        assert digest(back) == digest(store)
    assert not (store.path / "sending").exists()


def test_a_name_is_taken_once(shelf: Shelf, store: Store) -> None:
    made = shelf.add(store, "one")
    with pytest.raises(StoreError, match=r"one is there already"):
        shelf.add(store, "one", scheduled=True)
    assert shelf.verify("one") == made


def test_the_newest_good_one_is_found_and_what_was_passed_over_is_said(shelf: Shelf, store: Store) -> None:
    for name in ("c", "b", "a"):  # time decides, not names
        shelf.add(store, name)
    spoil(shelf, "a")
    said: dict[str, str] = {}
    assert newest_good(shelf, said.__setitem__) == "b"
    assert list(said) == [shelf.path("a")]
    assert "is damaged: its data file has" in said[shelf.path("a")]

    def refused(found: Manifest) -> None:
        raise ConfigurationError("of another model")

    with pytest.raises(StoreError, match=r"no snapshot in .* is good: .*is damaged.*of another model; of another model"):
        newest_good(shelf, said.__setitem__, refused)


def test_an_empty_shelf_has_no_latest(shelf: Shelf) -> None:
    with pytest.raises(StoreError, match="there is no snapshot in"):
        newest_good(shelf, lambda *_: None)


def test_retention_keeps_the_newest_and_deletes_nothing_that_it_does_not_know(shelf: Shelf, store: Store) -> None:
    shelf.add(store, "asked for")
    for n in range(5):
        shelf.add(store, f"{n}", scheduled=True)
    identity = shelf.manifest("0").store
    assert retire(shelf, "another store", kept=1, days=0) == []
    assert retire(shelf, identity, kept=2, days=1) == []
    assert retire(shelf, identity, kept=4, days=1, now=datetime.now(UTC) + timedelta(days=2)) == ["0"]
    assert retire(shelf, identity, kept=2, days=0) == ["1", "2"]
    assert [one.name for one in listing(shelf)] == ["asked for", "3", "4"]


def test_retention_never_deletes_the_last_good_one(shelf: Shelf, store: Store) -> None:
    for n in range(4):
        shelf.add(store, f"{n}", scheduled=True)
    identity = shelf.manifest("0").store
    spoil(shelf, "2")
    spoil(shelf, "3")
    assert retire(shelf, identity, kept=2, days=0) == ["0"]
    assert newest_good(shelf, lambda *_: None) == "1"
    spoil(shelf, "1")
    assert retire(shelf, identity, kept=1, days=0) == []
    assert shelf.names() == ["1", "2", "3"]


def test_a_snapshot_of_another_model_is_refused_with_the_setting_that_differs(
    shelf: Shelf, store: Store, tmp_path: Path
) -> None:
    shelf.add(store, "one")
    others = LearningOptions(factors=4, history=3, recent=50, seed=7)
    with shelf.fetched("one") as folder, pytest.raises(ConfigurationError, match=r"learning.seed is 7, but the store"):
        snapshots.restore(folder, tmp_path / "back", learning=others)
    assert not (tmp_path / "back").exists()


def test_one_that_cannot_be_read_is_listed_with_its_fault(tmp_path: Path, store: Store) -> None:
    shelf = Folder(tmp_path / "shelf")
    shelf.add(store, "good")
    (tmp_path / "shelf" / "bad").mkdir()
    (tmp_path / "shelf" / "bad" / "manifest.json").write_text("{")
    (tmp_path / "shelf" / "something else").mkdir()
    (tmp_path / "shelf" / ".hidden.1.new").mkdir()
    assert [(one.name, bool(one.fault)) for one in listing(shelf)] == [("bad", True), ("good", False)]


def test_a_snapshot_with_a_strange_file_in_it_is_not_deleted(tmp_path: Path, store: Store) -> None:
    shelf = Folder(tmp_path)
    shelf.add(store, "one")
    (tmp_path / "one" / "notes.txt").write_text("do not delete")
    with pytest.raises(StoreError, match="holds more than a snapshot: nothing was deleted"):
        shelf.remove("one")
    assert shelf.verify("one")


def test_names_lead_to_their_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    usual = str(tmp_path / "usual")
    for said, place, name in (
        (LATEST, usual, LATEST),
        ("20260101T000000Z", usual, "20260101T000000Z"),
        ("here", ".", "here"),
        ("backups/monday", "backups", "monday"),
    ):
        shelf, found = on_shelf(said, usual)
        assert (shelf.place, found) == (place, name)


def test_the_manifest_of_a_snapshot_names_its_settings(tmp_path: Path, store: Store) -> None:
    shelf = Folder(tmp_path)
    first, second = shelf.add(store, "one"), shelf.add(store, "two")
    assert first.configuration == second.configuration
    assert first.layout == second.layout != []
    changed = manifest.describe(
        msgspec.structs.replace(store.meta() or pytest.fail("no model"), options={"factors": 5}), "id", 1, "x", scheduled=False
    )
    assert changed.configuration != first.configuration
