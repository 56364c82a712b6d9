"""Snapshots by schedule: when, how many stay, and what a failure is worth."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streammf.counters.block import Block
from streammf.state import shelf as shelves
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer import keeper as keepers
from streammf.trainer.counting import families
from streammf.trainer.keeper import Keeper
from tests.state.models import change, commit, meta, model
from tests.state.stores import PIPES, READING, put
from tests.waiting import wait_for


class Kept:
    """A store, what it learned, and a keeper that is stepped by hand."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.options = StoreOptions(path=str(folder / "store"), snapshots=str(folder / "shelf"), **settings)  # type: ignore[arg-type]
        self.store = Store.open(self.options)
        self.block = Block.private(families(["click"]))
        self.keeper = Keeper(self.store, self.options, self.block)
        self._made = model()
        self._copier = Copier(*self._made)
        self._last = meta()

    def learn(self, events: int) -> None:
        """Up to so many."""
        change(self._made, events)
        self._last = commit(self.store, self._copier, self._last, events)

    def names(self) -> list[str]:
        return shelves.Folder(Path(self.options.snapshots)).names()

    def counted(self, outcome: str) -> float:
        return self.block.value("snapshots_total", outcome)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keepers, "SHELF_PAUSE", 0.0)
    return tmp_path


def test_nothing_is_written_where_nobody_asked_for_it(folder: Path) -> None:
    kept = Kept(folder)
    kept.learn(5)
    kept.keeper.step(time.time() + 1e6)
    assert kept.names() == []
    kept.store.close()


def test_a_snapshot_is_due_so_many_minutes_after_the_last_one_if_anything_was_learned(folder: Path) -> None:
    kept = Kept(folder, snapshot_minutes=10.0)
    kept.keeper.step(time.time() + 700)  # nothing was ever committed
    kept.learn(5)
    kept.keeper.step(time.time() + 590)
    assert kept.names() == []
    kept.keeper.step(time.time() + 610)
    assert len(kept.names()) == 1
    kept.keeper.step(time.time() + 1300)
    assert len(kept.names()) == 1, "nothing was learned since"
    kept.learn(6)
    kept.keeper.step(time.time() + 590)
    assert len(kept.names()) == 1
    kept.keeper.step(time.time() + 610)
    assert len(kept.names()) == 2
    assert kept.counted("written") == 2
    assert kept.block.value("snapshot_bytes") > 0
    assert abs(kept.block.value("snapshot_at") - time.time()) < 60
    assert kept.block.value("snapshot_due_at") == 0
    kept.store.close()


def test_a_snapshot_is_due_after_so_many_events_whoever_wrote_the_last_one(folder: Path) -> None:
    kept = Kept(folder, snapshot_events=10)
    kept.learn(9)
    kept.keeper.step(time.time())
    assert kept.names() == []
    kept.learn(12)
    kept.keeper.step(time.time())
    assert len(kept.names()) == 1
    kept.learn(21)
    snapshots.create(kept.store, Path(kept.options.snapshots) / "asked for")
    kept.learn(30)
    kept.keeper.step(time.time())
    assert len(kept.names()) == 2
    kept.learn(31)
    kept.keeper.step(time.time())
    assert len(kept.names()) == 3
    kept.store.close()


def test_a_new_trainer_goes_on_with_the_schedule_of_the_one_before(folder: Path) -> None:
    kept = Kept(folder, snapshot_minutes=10.0)
    kept.learn(5)
    kept.keeper.step(time.time() + 700)
    kept.learn(6)
    successor = Keeper(kept.store, kept.options, kept.block)
    successor.step(time.time() + 500)
    assert len(kept.names()) == 1
    successor.step(time.time() + 700)
    assert len(kept.names()) == 2
    kept.store.close()


def test_the_newest_ones_stay_and_what_somebody_asked_for(folder: Path) -> None:
    kept = Kept(folder, snapshot_events=1, snapshots_kept=2)
    for events in range(1, 6):
        kept.learn(events)
        kept.keeper.step(time.time())
        if events == 1:
            snapshots.create(kept.store, Path(kept.options.snapshots) / "asked for")
            kept.learn(2)
            kept.keeper.step(time.time())
    found = shelves.listing(shelves.Folder(Path(kept.options.snapshots)))
    assert [(one.name == "asked for", one.manifest.events) for one in found if one.manifest] == [
        (True, 1),
        (False, 4),
        (False, 5),
    ]
    kept.store.close()


def test_a_failure_is_counted_said_once_and_tried_again_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(folder, snapshot_events=1)
    (folder / "shelf").write_text("in the way")
    kept.learn(1)
    monkeypatch.setattr(keepers, "PAUSE", 0.01)
    monkeypatch.setattr(keepers, "AGAIN", 0.05)
    with caplog.at_level(logging.WARNING), kept.keeper:
        wait_for(lambda: kept.counted("failed") >= 3, "three failures")
        assert kept.block.value("snapshot_due_at") > 0
        kept.learn(2)  # learning and commits go on
        (folder / "shelf").unlink()
        wait_for(lambda: kept.counted("written") == 1, "a snapshot")
    assert len(kept.names()) == 1
    assert len({record.message for record in caplog.records}) == len(caplog.records) >= 1
    kept.store.close()


def test_a_reader_that_stands_still_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keepers, "FAR_BEHIND", 3)
    kept = Kept(folder)
    kept.learn(1)
    with subprocess.Popen([sys.executable, "-c", READING, str(kept.store.path), "hold"], text=True, **PIPES) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        try:
            for n in range(5):
                put(kept.store, b"n", bytes([n, 0, 0, 0]))
            with caplog.at_level(logging.WARNING):
                kept.keeper.step(time.time())
            assert kept.block.value("store_reader_lag_commits") == 5
            assert f"process {reader.pid} has been reading one commit" in caplog.text
        finally:
            reader.kill()
    put(kept.store, b"n", bytes(4))
    kept.keeper.step(time.time())
    assert kept.block.value("store_reader_lag_commits") == 0
    kept.store.close()
