"""Keeps the store safe while the trainer learns: snapshots by schedule, retention, and an eye on who holds pages back.

Rules of this file:
1. A thread of its own: nothing here makes learning or a commit wait.
2. A snapshot that fails is counted, said once for each reason, and tried again. It never ends the trainer: the store is whole.
3. Whoever writes a snapshot, the next one is due so long after it; none is written where nothing was learned since.
"""

import logging
import threading
import time
from typing import Final, NamedTuple, Self

from streammf.counters.block import Block
from streammf.errors import StoreError, StreamMFError
from streammf.state import snapshots
from streammf.state.options import StoreOptions
from streammf.state.shelf import listing, retire, shelf_at
from streammf.state.store import Store
from streammf.trainer.counting import SNAPSHOTS

log: Final = logging.getLogger(__name__)

#: Seconds between two looks at the store; between two at the shelf, where others may write too; after a failure.
PAUSE: Final = 1.0
SHELF_PAUSE: Final = 60.0
AGAIN: Final = 60.0
#: Commits that a reader may be behind before it is named: a copy of a large store takes minutes.
FAR_BEHIND: Final = 600
#: Reasons that are remembered as said.
MOST_SAID: Final = 100
#: Seconds for a snapshot that is being written at the end.
PATIENCE: Final = 5.0


class _Last(NamedTuple):
    """The newest snapshot."""

    at: float
    events: int
    commit: int


class Keeper(threading.Thread):
    """Watches `store` while the block runs. Raises ConfigurationError where there is no such place for snapshots."""

    def __init__(self, store: Store, options: StoreOptions, block: Block) -> None:
        super().__init__(name="keeper", daemon=True)
        self._store = store
        self._options = options
        self._shelf = shelf_at(options.snapshots)
        self._outcomes = {outcome: block.counter("snapshots_total", outcome) for outcome in SNAPSHOTS}
        self._bytes = block.gauge("snapshot_bytes")
        self._at = block.gauge("snapshot_at")
        self._due_at = block.gauge("snapshot_due_at")
        self._behind = block.gauge("store_reader_lag_commits")
        self._stopped = threading.Event()
        self._last = _Last(time.time(), 0, 0)
        self._looked = -SHELF_PAUSE
        self._not_before = 0.0
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """A snapshot that takes longer than some seconds is given up, and the next one sweeps away what is left of it. Only
        LMDB's own copy, which cannot be ended, is waited for when the store is closed.
        """
        self._stopped.set()
        self.join(PATIENCE)

    def run(self) -> None:
        """The thread's own work: not to be called."""
        while not self._stopped.wait(PAUSE):
            try:
                self.step(time.time())
            except StreamMFError as error:
                if not self._stopped.is_set():
                    self._say(str(error))

    def step(self, now: float) -> None:
        """Look, and write what is due. Raises StreamMFError where that cannot be done."""
        self._name_the_slow()
        if time.monotonic() - self._looked >= SHELF_PAUSE:
            self._looked = time.monotonic()
            self._look()
        due_at = self._due(now)
        self._due_at.set(due_at)
        if due_at and time.monotonic() >= self._not_before:
            self._write()

    def _look(self) -> None:
        """What is on the shelf of this store, whoever wrote it."""
        identity = self._identity()
        ours = [one.manifest for one in listing(self._shelf) if one.manifest and one.manifest.store == identity]
        if ours:
            newest = ours[-1]
            self._last = _Last(snapshots.written_at(newest), newest.events, newest.commit)
            self._at.set(self._last.at)
            self._bytes.set(newest.bytes)

    def _due(self, now: float) -> float:
        """Since when one is due; 0: none is."""
        minutes, events = self._options.snapshot_minutes, self._options.snapshot_events
        meta = self._store.meta() if minutes or events else None
        if meta is None or meta.commit == self._last.commit:
            return 0.0
        by_time = self._last.at + 60 * minutes
        if minutes and by_time <= now:
            return by_time
        if events and abs(meta.events - self._last.events) >= events:  # fewer: an older snapshot was restored
            return now
        return 0.0

    def _write(self) -> None:
        try:
            manifest = self._shelf.add(self._store, snapshots.usual_name(), scheduled=True)
            self._last = _Last(snapshots.written_at(manifest), manifest.events, manifest.commit)
            self._at.set(self._last.at)
            self._bytes.set(manifest.bytes)
            self._due_at.set(0.0)
            retire(self._shelf, manifest.store, self._options.snapshots_kept, self._options.snapshot_days)
        except StreamMFError:
            self._outcomes["failed"].add()
            self._not_before = time.monotonic() + AGAIN
            raise
        self._outcomes["written"].add()
        self._said.clear()

    def _name_the_slow(self) -> None:
        try:
            oldest = self._store.oldest_reader()
        except StoreError:
            return
        self._behind.set(oldest.behind if oldest else 0)
        if oldest and oldest.behind > FAR_BEHIND:
            self._say(
                f"process {oldest.pid} has been reading one commit of the store for more than {FAR_BEHIND} commits: the store "
                "grows until it ends"
            )

    def _identity(self) -> str:
        with self._store.read() as reading:
            return reading.identity()

    def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said = {*self._said, reason} if len(self._said) < MOST_SAID else {reason}
            log.warning("%s", reason)
