"""The trainer's own loop: take a batch, learn, publish, commit when due.

Rules of this file:
1. One writer: only this loop changes the model, and only between two batches is anything copied out of it.
2. Published after every batch, committed when due: a click is visible at once and durable soon. Events and the positions
   that they end at become visible together, and durable together.
3. An error in any thread ends the trainer. What was applied before an error of the *log* is committed first; after any other
   error nothing is, for the last commit is good. That is also how a model that diverged is dropped: see brake.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from streammf.counters.block import Block
from streammf.errors import SourceError
from streammf.events.event import ERASING, Rejected
from streammf.events.source import Partition, Records, Source
from streammf.failpoints import reach
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.forgotten import Erasure
from streammf.state.header import Header, Status
from streammf.state.live import LiveWriter
from streammf.state.meta import first_meta, next_meta, require_settings
from streammf.state.model import ERASES, Model
from streammf.state.prepared import kept_of
from streammf.state.recovery import recover
from streammf.state.store import Store
from streammf.trainer import note
from streammf.trainer.attempts import DECODING, LEARNING, Attempts, in_order
from streammf.trainer.barred import Barred
from streammf.trainer.brake import Brake
from streammf.trainer.commits import Commits
from streammf.trainer.counting import TrainerCounters, families
from streammf.trainer.decoding import Decoded, Decoder
from streammf.trainer.losses import settle, words
from streammf.trainer.note import Note
from streammf.trainer.once import once, window
from streammf.trainer.options import TrainerOptions
from streammf.trainer.progress import Progress, erasures
from streammf.trainer.quality import Quality, quality_families
from streammf.trainer.reader import AHEAD, Reader, Ready
from streammf.trainer.remarks import Remarks
from streammf.trainer.watcher import Watcher

log: Final = logging.getLogger(__name__)

#: Seconds; a header that is older means that nobody trains.
HEARTBEAT: Final = 1.0
#: Seconds until a stop is noticed while no event comes: a signal does not end a wait.
NOTICED: Final = 0.1


class Trainer:
    """One source, one store and one live memory, joined. Made, run once, and done; closing the three is the maker's."""

    def __init__(
        self,
        source: Source,
        store: Store,
        live: LiveWriter,
        learning: LearningOptions,
        options: TrainerOptions,
        block: Block | None = None,
        *,
        accept_loss: bool = False,
    ) -> None:
        """`block`: of `counting.families` and `quality_families`, where others read what is counted.

        `accept_loss`: see losses.py.
        """
        self._source = source
        block = block or Block.private((*families(learning.types), *quality_families(learning)))
        self._counters = TrainerCounters(block, learning.types)
        self._quality, self._remarks = Quality(block, learning), Remarks(learning)
        self._live = live
        self._options = options
        self._model = Model(learning, live.memory, live.users, live.items)
        self._decoder = Decoder(
            source.partitions,
            [*learning.types],
            self._model.value_range,
            convert_times=options.convert_times,
            with_ids=options.same_id_events > 0,
        )
        self._window = window(store, options.same_id_events, learning.seed)
        self._rejected: list[Rejected] = []
        self._barred = Barred(store, source.topic_ids())
        plain, meta = msgspec.to_builtins(learning), store.meta()
        if meta is None:
            meta = first_meta(learning.objective, learning.seed, learning.dimensions, plain, live.memory.tables)
        else:
            require_settings(meta, learning.objective, learning.seed, learning.dimensions)
            recover(store, live.memory, live.users, live.items)
            self._model.refused = meta.refused
            reach("start.recovered")
        self._losses = settle(source, meta.positions, meta.losses, accept_loss)
        self._progress = Progress(source, meta.positions)
        live.memory.add_rows(Axis.PARTITION, np.zeros(len(self._progress.next) - self._progress.met, np.uint64))
        self._set_aside = meta.rejected
        meta = next_meta(meta, plain, learning.dimensions, live.memory.tables, self._losses)
        self._commits = Commits(store, self._model, meta, options, self._counters, source.check)
        self._brake, self._published = Brake(options.brake_share), 0.0
        self._attempts = Attempts(store.path, source.partitions, self._progress.next)
        ahead = 0 if self._attempts.careful else AHEAD
        self._reader = Reader(source, self._prepare, self._most, options.idle_seconds, ahead)

    @property
    def events(self) -> int:
        """Events applied so far, those of earlier runs included."""
        return self._model.events

    @property
    def refused(self) -> int:
        """Events refused so far, those of earlier runs included."""
        return self._model.refused

    @property
    def dropped(self) -> int:
        """Events that the log's client delivered again, and that were not applied again."""
        return self._progress.dropped

    def run(self, stop: threading.Event, started: Callable[[], None] = lambda: None) -> None:
        """Learn until `stop` is set or the log is exhausted, and make durable what was learned.

        `started` is called once, when the model is live. Raises StreamMFError.
        """
        watcher = Watcher(self._source, self._counters.block, self._clocks)
        try:
            self._counters.diverged.set(0.0)
            self._accept()
            self._publish()
            started()
            self._reader.start()
            watcher.start()
            self._until_done(stop)
        except EOFError:
            self._finish()
            watcher.stop(finished=True)
        except SourceError:
            self._finish()
            raise
        else:
            self._finish()
        finally:
            self._reader.stop()
            watcher.stop("the trainer has ended")
            self._commits.close()

    def wait(self, stop: threading.Event, why: str) -> None:
        """Learn nothing until `stop` is set: show what was committed, and say why it does not grow."""
        while not stop.is_set():
            self._counters.heartbeat.set(time.time())
            self._counters.diverged.set(1.0)
            note.write(self._counters.block, Note(doing=why))
            self._live.require_kept()
            self._publish("stopped")
            stop.wait(HEARTBEAT)

    def _until_done(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._counters.heartbeat.set(time.time())
            self._live.require_kept()
            batch = self._reader.next(min(self._commits.wait(), NOTICED))
            if batch is not None:
                self._apply(batch)
                self._publish()  # before anything is copied for a commit: who asks need not wait for that
                self._counters.visible(batch.columns.times, time.time())
            if self._commits.step(self._progress.stored, self._rejected):
                self._advise()
                reach("source.advised")
                self._publish()
            elif time.monotonic() - self._published > HEARTBEAT:
                self._publish()

    def _accept(self) -> None:
        """Make durable, before anything is read, that losses were accepted."""
        if self._losses:
            self._commits.finish(self._progress.stored(), self._rejected, always=True)
            self._counters.accepted(self._losses)
            for loss in self._losses:
                log.warning("accepted: %s", words(loss))

    def _most(self) -> int:
        """Records of the next batch, at most."""
        return self._attempts.most(self._options.batch)

    def _prepare(self, records: Records) -> Iterator[Ready]:
        """The reader's part of a batch. Called in its thread: see `Model.prepare` for what it changes.

        Where its control events erase, it is several batches: each ends with the first of them.
        """
        if self._progress.meet(self._source.partitions):
            self._decoder.meet(self._source.partitions)
        tried, poison = self._attempts.without_poison(records)
        with self._attempts.trying(DECODING, len(tried.values), records.positions):
            decoded = self._decode(tried)
            ends = erasures(records, decoded.controls)
            whole = None if ends else self._ready(records, decoded, poison)
        if whole is not None:
            yield whole
            return
        for part in self._progress.parts(records, ends):  # read once already, they cannot be what a trainer dies of
            tried, poison = self._attempts.without_poison(part)
            yield self._ready(part, self._decode(tried), poison)

    def _decode(self, records: Records) -> Decoded:
        began = time.perf_counter()
        decoded = self._decoder.decode(records)
        self._counters.decode_seconds.observe(time.perf_counter() - began)
        reach("reader.decoded")
        return decoded

    def _ready(self, records: Records, decoded: Decoded, poison: list[Rejected]) -> Ready:
        """What was decoded of these records, but for those that are poison, ready to be learned from."""
        if poison:
            decoded.rejected = in_order(records, self._source.partitions, decoded.rejected + poison)
        order = self._progress.order(records.partitions, records.offsets)
        read = self._progress.read
        columns, again = self._progress.unread(decoded, records.positions)
        columns, barred = self._barred.without(columns, read)
        columns, duplicates, accepted = once(self._window, columns)
        rows = self._progress.rows(columns.partitions)
        events = self._model.prepare(
            columns.users, columns.items, columns.kinds, columns.values, columns.times, rows, columns.offsets, columns.controls
        )
        erases = events.forgets or any(control.kind in ERASING for control in columns.controls)
        return Ready(columns, events, again, order, records.positions, duplicates, accepted, barred, erases)

    def _apply(self, batch: Ready) -> None:
        """The learner's part of it."""
        columns = batch.columns
        self._rejected += columns.rejected
        self._set_aside += len(columns.rejected)
        if unmet := self._progress.unmet(batch.positions):
            self._live.memory.add_rows(Axis.PARTITION, np.zeros(unmet, np.uint64))
        began = time.perf_counter()
        careful = self._attempts.careful
        with self._attempts.trying(LEARNING, len(columns.kinds) + len(columns.controls), batch.positions):
            self._model.admit(batch.events)
            reach("learner.admitted")
            if not careful:
                self._reader.go_on()
            parts = self._model.apply(batch.events)
            reach("learner.applied")
        self._commits.learned(batch.order)
        for part in parts:
            self._brake.judge(self._live.memory.state, part.batch)
            self._counters.expired(*part.gone)
        if (kept := kept_of(parts)) is not None:
            self._counters.refused(columns.kinds[~kept])
            batch.columns = columns = columns.only(kept)
        self._counters.learn_seconds.observe(time.perf_counter() - began)
        self._progress.advance(batch.positions)
        self._counters.batch_events.observe(len(columns.kinds) + len(columns.controls) + len(columns.rejected))
        self._counters.applied(columns.kinds)
        self._counters.controls(columns.controls)
        self._remarks.look(columns)
        self._counters.applied_before(batch.again)
        self._counters.duplicate(batch.duplicates)
        self._counters.forgotten(batch.barred)
        self._commits.accept(batch.accepted)
        self._counters.rejected(columns.rejected)
        self._counters.odd_times(columns.units, int(np.count_nonzero(columns.times > self._model.clock)))
        if careful:
            self._reader.go_on(1 if self._attempts.careful else 1 + AHEAD)
        if batch.erases:
            self._commits.erased(self._erasures(batch), self._rejected)
            self._reader.erased()

    def _erasures(self, batch: Ready) -> list[Erasure]:
        """What the control events of a batch ask to be forgotten."""
        found = []
        for control in batch.columns.controls:
            if control.kind in ERASES:
                partition = self._source.partitions[control.partition]
                topic_id = self._progress.topic_id(partition)
                found.append(Erasure(ERASES[control.kind], control.id, *partition, topic_id, control.offset))
        return found

    def _clocks(self) -> Mapping[Partition, int]:
        """The largest event time applied from each partition, ms since the epoch."""
        partitions = list(self._progress.next)  # at once: the learner may be adding one
        return dict(zip(partitions, self._live.memory.state.partitions.clock[: len(partitions)].tolist(), strict=True))

    def _publish(self, status: Status = "learning") -> None:
        began = time.perf_counter()
        committed = self._commits.meta
        header = Header(
            status=status,
            events=self._model.events,
            clock=self._model.clock,
            positions=[(p.topic, p.number, offset) for p, offset in self._progress.next.items()],
            rejected=self._set_aside,
            refused=self._model.refused,
            committed_events=committed.events,
            committed_at=self._commits.at,
        )
        self._live.publish(header)
        self._published = time.monotonic()
        self._counters.publish_seconds.observe(time.perf_counter() - began)
        self._quality.look(self._model.memory.state)

    def _finish(self) -> None:
        self._commits.finish(self._progress.stored(), self._rejected)
        self._advise()
        self._publish()

    def _advise(self) -> None:
        self._source.advise({Partition(p.topic, p.partition): p.next for p in self._commits.meta.positions})
