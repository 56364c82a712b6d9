"""Is the store what its log gives? Learned again from the beginning, beside it, and compared by digest.

Rules of this file:
1. The store is read, never written: a trainer may go on meanwhile, and what it commits later is not looked at.
2. Records come in the order in which they were learned from: with several partitions the store's journal has it.
3. The store's own learning options are used, not the configuration's.
"""

import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from streammf.errors import DataLossError, StoreError
from streammf.events.ordered import Ordered
from streammf.events.source import Partition
from streammf.learning import compiling
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import Configuration
from streammf.operations.sources import named, open_source
from streammf.state.digest import digest
from streammf.state.live import LiveWriter
from streammf.state.meta import Meta
from streammf.state.options import LiveOptions, StoreOptions, live_path
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    events: int
    """Events of the store."""
    again: int
    """Events learned again."""
    runs: int
    """Runs of records that the order has; see trainer/order.py."""
    stored: str
    """The store's digest."""
    learned: str
    """The digest of what was learned again."""

    @property
    def same(self) -> bool:
        """Nothing was lost, and nothing learned twice."""
        return self.stored == self.learned and self.events == self.again


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
                journal = np.frombuffer(reading.order(), np.int64).reshape(-1, 2)
            if meta is None:
                raise StoreError(f"{store_options.path} holds no model yet: there is nothing to audit")
            stored = digest(store)
        options = msgspec.structs.replace(store_options, path=str(Path(folder) / "again"))
        with closing(_ordered(configuration, meta, journal)) as source:
            choices = configuration.of(TrainerOptions)  # which events are left out, and how times are read
            return _learned_again(source, meta, len(journal), stored, options, choices, Path(memory), report)


def _ordered(configuration: Configuration, meta: Meta, journal: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> Ordered:
    """The log in the order of the journal; of one partition, as it stands."""
    if meta.losses:
        raise DataLossError(
            f"the store has accepted that events of {meta.losses[0].topic} are lost ({meta.losses[0].reason}): without them "
            "the log cannot tell what was learned"
        )
    ends = {Partition(p.topic, p.partition): p.next for p in meta.positions}
    names = list(ends)
    source = open_source(configuration)
    if strange := [p for p in names if p not in source.partitions]:
        source.close()
        raise DataLossError(
            f"the store has learned from {strange[0].topic}/{strange[0].number}, which {named(configuration)} does not have: "
            "it is not the log that the store was learned from"
        )
    begun = [p for p, first in source.positions().items() if p in ends and first > 0]
    if begun:
        source.close()
        raise DataLossError(
            f"{begun[0].topic}/{begun[0].number} begins at {source.positions()[begun[0]]:,}: without its first events the log "
            "cannot tell what was learned from them"
        )
    runs = [(names[row], end) for row, end in journal.tolist()] if len(names) > 1 else list(ends.items())
    return Ordered(source, runs, ends)


def _learned_again(
    source: Ordered,
    meta: Meta,
    runs: int,
    stored: str,
    options: StoreOptions,
    choices: TrainerOptions,
    memory: Path,
    report: Callable[[int, int], None],
) -> Audit:
    learning = msgspec.convert(meta.choices, LearningOptions)
    compiling.ready(learning.part)
    with closing(Store.open(options)) as store, closing(LiveWriter(memory / "live", learning)) as writer:
        trainer = Trainer(source, store, writer, learning, choices)
        done = threading.Event()
        watcher = threading.Thread(target=_reporting, args=(done, lambda: report(trainer.events, meta.events)), daemon=True)
        watcher.start()
        try:
            trainer.run(threading.Event())
        finally:
            done.set()
            watcher.join()
        return Audit(events=meta.events, again=trainer.events, runs=runs, stored=stored, learned=digest(store))


def _reporting(done: threading.Event, report: Callable[[], None]) -> None:
    while not done.wait(0.2):
        report()
