"""Is the store what its log gives? Learned again from the beginning, beside it, and compared by digest.

Rules of this file:
1. The store is read, never written: a trainer may go on meanwhile, and what it commits later is not looked at.
2. Records come in the order in which they were learned from: with several partitions the store's journal has it.
3. The store's own learning options are used, not the configuration's.
4. Where the store was restored and forgot at once what it had been told after the snapshot, it does so again at the same place.
"""

import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.errors import DataLossError, StoreError
from streammf.events.ordered import Ordered
from streammf.events.source import Partition
from streammf.learning import compiling
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import Configuration
from streammf.operations.sources import named, open_source
from streammf.state.digest import digest
from streammf.state.live import LiveWriter
from streammf.state.meta import Cleared, Meta, Position
from streammf.state.options import LiveOptions, StoreOptions, live_path
from streammf.state.restoring import clear
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions

#: (n, 2) runs.
Journal = NDArray[np.int64]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    events: int
    """Events of the store."""
    again: int
    """Events learned again."""
    refused: int
    """Events that the store has refused."""
    refused_again: int
    """Events refused again."""
    runs: int
    """Runs of records that the order has; see trainer/order.py."""
    stored: str
    """The store's digest."""
    learned: str
    """The digest of what was learned again."""

    @property
    def same(self) -> bool:
        """Nothing was lost, and nothing learned twice."""
        same = self.events == self.again and self.refused == self.refused_again
        return same and self.stored == self.learned


def audit(configuration: Configuration, report: Callable[[int, int], None]) -> Audit:
    """Learn the configured log again up to the store's positions. `report(events so far, of how many)` now and then.

    Raises DataLossError where the log no longer has everything, StoreError where there is no store.
    """
    store_options = configuration.of(StoreOptions)
    base = live_path(configuration.of(LiveOptions), Path(store_options.path))
    with (
        tempfile.TemporaryDirectory(prefix="streammf-audit-") as folder,
        tempfile.TemporaryDirectory(prefix="streammf-audit-", dir=base.parent if base.parent.is_dir() else None) as memory,
    ):
        copy = Path(folder) / "copy"
        copy.mkdir()
        with Store.open_readonly(Path(store_options.path)) as store:  # one commit, though a trainer goes on
            store.copy(copy)
        with Store.open_readonly(copy) as store:
            with store.read() as reading:
                meta = reading.meta()
                stages = [*(meta.cleared if meta else ()), *([Cleared(meta.commit, meta.positions)] if meta else ())]
                journals = [np.frombuffer(reading.order(stage.commit), np.int64).reshape(-1, 2) for stage in stages]
                told = [entry for entry in reading.forgotten() if entry.cleared]
            if meta is None:
                raise StoreError(f"{store_options.path} holds no model yet: there is nothing to audit")
            stored, key = digest(store), store.key
        options = msgspec.structs.replace(store_options, path=str(Path(folder) / "again"))
        with closing(Store.open(options)) as again:
            again.adopt(key)
            for number, (stage, journal) in enumerate(zip(stages, journals, strict=True), 1):
                with closing(_ordered(configuration, meta, stage.positions, journal)) as source:
                    _learn(source, meta, again, configuration.of(TrainerOptions), Path(memory) / str(number), report)
                if entries := [entry for entry in told if entry.cleared == number]:
                    clear(again, entries)
            learned = again.meta()
            events, refused = (learned.events, learned.refused) if learned else (0, 0)
            return Audit(
                events=meta.events, again=events, refused=meta.refused, refused_again=refused, runs=len(journals[-1]),
                stored=stored, learned=digest(again),
            )  # fmt: skip


def _ordered(configuration: Configuration, meta: Meta, positions: Sequence[Position], journal: Journal) -> Ordered:
    """The log up to these positions, in the order of the journal; of one partition, as it stands."""
    if meta.losses:
        raise DataLossError(
            f"the store has accepted that events of {meta.losses[0].topic} are lost ({meta.losses[0].reason}): without them "
            "the log cannot tell what was learned"
        )
    names = [Partition(p.topic, p.partition) for p in meta.positions]
    ends = {Partition(p.topic, p.partition): p.next for p in positions}
    source = open_source(configuration)
    if strange := [p for p in names if p not in source.partitions]:
        source.close()
        raise DataLossError(
            f"the store has learned from {strange[0].topic}/{strange[0].number}, which {named(configuration)} does not have: "
            "it is not the log that the store was learned from"
        )
    begun = [p for p, first in source.positions().items() if p in names and first > 0]
    if begun:
        source.close()
        raise DataLossError(
            f"{begun[0].topic}/{begun[0].number} begins at {source.positions()[begun[0]]:,}: without its first events the log "
            "cannot tell what was learned from them"
        )
    runs = [(names[row], end) for row, end in journal.tolist()] if len(ends) > 1 else list(ends.items())
    return Ordered(source, runs, ends)


def _learn(
    source: Ordered, meta: Meta, store: Store, choices: TrainerOptions, memory: Path, report: Callable[[int, int], None]
) -> None:
    learning = msgspec.convert(meta.choices, LearningOptions)
    compiling.ready(learning.part)
    with closing(LiveWriter(memory, learning)) as writer:
        trainer = Trainer(source, store, writer, learning, choices)
        done = threading.Event()
        watcher = threading.Thread(target=_reporting, args=(done, lambda: report(trainer.events, meta.events)), daemon=True)
        watcher.start()
        try:
            trainer.run(threading.Event())
        finally:
            done.set()
            watcher.join()


def _reporting(done: threading.Event, report: Callable[[], None]) -> None:
    while not done.wait(0.2):
        report()
