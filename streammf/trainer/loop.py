"""The trainer's own loop: take a batch, learn, publish, commit when due.

Rules of this file:
1. One writer: only this loop changes the model, and only between two batches is anything copied out of it.
2. Published after every batch, committed when due: a click is visible at once and durable soon. Events and the positions
   that they end at become visible together, and durable together.
3. An error in any thread ends the trainer. What was applied before an error of the *log* is committed first; after any other
   error nothing is, for the last commit is good.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from streammf.errors import SourceError
from streammf.events.event import Rejected
from streammf.events.source import Partition, Source
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.header import Header
from streammf.state.live import LiveWriter
from streammf.state.meta import first_meta, require_settings
from streammf.state.model import Model
from streammf.state.recovery import recover
from streammf.state.store import Store
from streammf.trainer.commits import Commits
from streammf.trainer.options import TrainerOptions
from streammf.trainer.progress import Progress
from streammf.trainer.reader import Decoded, Reader

#: Seconds; a header that is older means that nobody trains.
HEARTBEAT: Final = 1.0


class Trainer:
    """One source, one store and one live memory, joined. Made, run once, and done; closing the three is the maker's."""

    def __init__(
        self, source: Source, store: Store, live: LiveWriter, learning: LearningOptions, options: TrainerOptions
    ) -> None:
        self._source = source
        self._live = live
        self._options = options
        self._model = Model(learning, live.memory, live.users, live.items)
        self._rejected: list[Rejected] = []
        plain = msgspec.to_builtins(learning)
        meta = store.meta()
        if meta is None:
            meta = first_meta(learning.objective, learning.seed, learning.dimensions, plain, live.memory.tables)
        else:
            require_settings(meta, learning.objective, learning.seed, learning.dimensions)
            recover(store, live.memory, live.users, live.items)
        self._progress = Progress(source, meta.positions)
        live.memory.add_rows(Axis.PARTITION, np.zeros(len(self._progress.next) - self._progress.met, np.uint64))
        meta = msgspec.structs.replace(meta, options=plain)
        self._commits = Commits(store, self._model, meta, options.commit_seconds, options.commit_events)
        self._set_aside = meta.rejected
        self._published = 0.0

    @property
    def events(self) -> int:
        """Events applied so far, those of earlier runs included."""
        return self._model.events

    @property
    def dropped(self) -> int:
        """Events that the log's client delivered again, and that were not applied again."""
        return self._progress.dropped

    def run(self, stop: threading.Event, started: Callable[[], None] = lambda: None) -> None:
        """Learn until `stop` is set or the log is exhausted, and make durable what was learned.

        `started` is called once, when the model is live. Raises StreamMFError.
        """
        learning = self._model.options
        reader = Reader(
            self._source, learning.types, self._model.value_range, self._options.batch, self._options.idle_seconds
        )
        try:
            self._publish()
            started()
            reader.start()
            self._until_done(reader, stop)
        except EOFError:
            self._finish()
        except SourceError:
            self._finish()
            raise
        else:
            self._finish()
        finally:
            reader.stop()
            self._commits.close()

    def _until_done(self, reader: Reader, stop: threading.Event) -> None:
        while not stop.is_set():
            batch = reader.next(min(self._commits.wait(), HEARTBEAT))
            if batch is not None:
                self._apply(batch)
            if self._commits.step(self._progress.stored, self._rejected):
                self._source.advise({Partition(p.topic, p.partition): p.next for p in self._commits.meta.positions})
            if batch is not None or time.monotonic() - self._published > HEARTBEAT:
                self._publish()

    def _apply(self, batch: Decoded) -> None:
        columns = batch.columns
        fresh = self._progress.fresh(columns.partitions, columns.offsets)
        if not fresh.all():
            columns = columns.only(fresh)
        rejected = [r for r in columns.rejected if r.offset >= self._progress.next[r.partition]]
        self._rejected += rejected
        self._set_aside += len(rejected)
        if columns.users:
            rows = self._progress.rows(columns.partitions)
            self._model.learn(
                columns.users, columns.items, columns.types, columns.values, columns.times, rows, columns.offsets
            )
        self._progress.advance(batch.positions)

    def _publish(self) -> None:
        committed = self._commits.meta
        header = Header(
            status="learning",
            events=self._model.events,
            clock=self._model.clock,
            positions=[(p.topic, p.number, offset) for p, offset in self._progress.next.items()],
            rejected=self._set_aside,
            committed_events=committed.events,
            committed_at=self._commits.at,
        )
        self._live.publish(header)
        self._published = time.monotonic()

    def _finish(self) -> None:
        self._commits.finish(self._progress.stored(), self._rejected)
        self._publish()
