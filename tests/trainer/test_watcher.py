"""What is said of the log while the trainer learns, and when it no longer does."""

import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from streammf.counters.block import Block
from streammf.errors import SourceError
from streammf.events.source import Partition, Records, Standing
from streammf.learning.compiling import ready
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer import note
from streammf.trainer.counting import families
from streammf.trainer.loop import Trainer
from streammf.trainer.note import MOST_NAMED, End, Note
from streammf.trainer.watcher import Watcher
from tests.trainer.sources import LOG, ListedSource, clicks
from tests.trainer.test_loop import LEARNING, LIMITS, OPTIONS
from tests.waiting import wait_for


def block() -> Block:
    return Block.private(families(["click"]))


class StandingSource(ListedSource):
    """Stands as a test says."""

    def __init__(self, standing: Standing | Exception) -> None:
        super().__init__([])
        self.now = standing

    def standing(self) -> Standing:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


def said(source: StandingSource, clocks: Mapping[Partition, int]) -> Note:
    """What a watcher of this source says first."""
    where = block()
    watcher = Watcher(source, where, lambda: clocks)
    watcher.start()
    try:
        wait_for(lambda: note.read(where).since, "a note")
        return note.read(where)
    finally:
        watcher.stop()


def test_ends_and_clocks_are_told_by_partition_and_beyond_a_number_as_one() -> None:
    partitions = [Partition("events", n) for n in range(MOST_NAMED + 3)]
    standing = Standing(dict.fromkeys(partitions, 9), dict.fromkeys(partitions, 8), "")
    found = said(StandingSource(standing), {p: 1000 + p.number for p in partitions})
    assert found.ends == [End("events", n, 9, 8, 1000 + n) for n in range(MOST_NAMED)]
    assert found.others == End("others", -1, 27, 24, 1000 + MOST_NAMED)


def test_trouble_is_told_whether_the_source_knows_it_or_raises_it() -> None:
    assert said(StandingSource(Standing({}, {}, "refused")), {}).trouble == "refused"
    assert said(StandingSource(SourceError("damaged")), {}).trouble == "damaged"


def test_the_last_word_stands_and_what_is_too_long_is_cut() -> None:
    where = block()
    watcher = Watcher(StandingSource(Standing({}, {}, "x" * 10_000)), where, dict)
    watcher.start()
    wait_for(lambda: note.read(where).trouble, "a note")
    assert len(note.read(where).trouble) == 1000
    watcher.stop(finished=True)
    watcher.stop("something else")
    watcher.join(10)
    assert (note.read(where).finished, note.read(where).doing) == (True, "")


class MarkedSource(ListedSource):
    """Ends with a record of the log's own, that no poll delivers; nothing is known to follow or not to."""

    exhausted = False

    def __init__(self, events: int) -> None:
        super().__init__(clicks(events))
        self.stop = threading.Event()

    def poll(self, most: int, timeout: float) -> Records | None:
        records = super().poll(most, timeout)
        if records is None:
            self.stop.wait(0.01)
        return records

    def positions(self) -> dict[Partition, int]:
        return {LOG: self._next + (self._next == len(self._events))}


def test_a_position_moves_over_what_is_the_logs_own_and_is_committed(tmp_path: Path) -> None:
    ready()
    source = MarkedSource(20)
    with (
        closing(Store.open(StoreOptions(path=str(tmp_path / "store")))) as store,
        closing(LiveWriter(tmp_path / "live", LEARNING, LIMITS)) as live,
        closing(LiveReader(tmp_path / "live")) as reader,
    ):
        trainer = Trainer(source, store, live, LEARNING, OPTIONS)
        thread = threading.Thread(target=trainer.run, args=(source.stop,))
        thread.start()
        try:
            wait_for(lambda: reader.view().header.positions == [(*LOG, 21)], "the position behind the marker")
        finally:
            source.stop.set()
            thread.join(20)
        meta = store.meta()
    assert meta is not None
    assert ([position.next for position in meta.positions], meta.events) == ([21], 20)
