"""When the model becomes durable, and how learning goes on meanwhile.

Rules of this file:
1. A commit is due `commit_seconds` after the last one began, after `commit_events` events, or when copying what changed
   would hold learning up for too long, whichever comes first; one is on its way at a time, and one that is due meanwhile
   begins when it is done.
2. The copy is taken between two batches by the learner's thread, with the help of another; writing it is the committer's work.
3. A commit that fails ends the trainer: nothing is published as durable that is not.
4. The committer gives way to the learner where cores are scarce: what is visible need not wait for what is durable. Who helps
   to copy does not, for the learner waits for it; and it writes the last commit, and the one after a commit that took LONG.
5. Before a commit the log is asked whether it is still the one that was opened: what came from another one is not written.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.events.event import Rejected
from streammf.failpoints import reach
from streammf.state.changes import Changes, Copier
from streammf.state.forgotten import Erasure, blank_all, erased, naming
from streammf.state.meta import Meta, Position
from streammf.state.model import Model
from streammf.state.store import Store
from streammf.trainer.counting import TrainerCounters
from streammf.trainer.options import TrainerOptions
from streammf.trainer.order import Runs, joined

#: Bytes to copy for a commit, beyond which it is due: they stop learning for 30 to 45 ms. With less of it a backlog costs more,
#: because the same rows are written again and again: with 96 MiB a twentieth for ratings.
MOST_COPIED: Final = 144 << 20
#: How far the committer's priority is below the learner's. Learning from a backlog on two cores, the learner waits for a core
#: for 3 % of its time with it, for 7 % without, for 5 % with half of it.
NICE: Final = 10
#: `commit_seconds` that a commit may take with a priority below everybody's.
LONG: Final = 3.0
#: Seconds between two looks at a commit that is on its way.
BUSY: Final = 0.01


class Commits:
    """The commits of one trainer."""

    def __init__(
        self,
        store: Store,
        model: Model,
        meta: Meta,
        options: TrainerOptions,
        counters: TrainerCounters,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check`: raises where nothing may be committed any more."""
        self._check = check
        self.meta = meta
        """As last committed."""
        self.at = 0.0
        """Wall clock of the last commit of this process, seconds since the epoch."""
        self._store = store
        self._model = model
        self._seconds = options.commit_seconds
        self._events = options.commit_events
        self._window = options.same_id_events
        self._accepted: list[NDArray[np.uint64]] = []
        self._counters = counters
        self._taken = meta
        self._copier = Copier(model.memory, model.users, model.items, meta.counts)
        self._committer = ThreadPoolExecutor(1, "committer", _give_way)
        self._helper = ThreadPoolExecutor(1, "copier")
        self._writing: Future[Meta] | None = None
        self._began, self._took = 0.0, 0.0
        """When the last commit began, on the monotonic clock, and how many seconds the last one took that is done."""
        self._due = time.monotonic() + self._seconds
        self._order: list[Runs] = []
        self._erasures: list[Erasure] = []

    def erased(self, erasures: Sequence[Erasure], rejected: list[Rejected]) -> None:
        """The model has forgotten these: so does the next commit. What of `rejected`, as in `step`, names one is left blank."""
        blank_all(rejected, naming([one.id for one in erasures]))
        self._erasures += erasures

    def learned(self, order: Runs) -> None:
        """A batch was learned from, whose records came in this order."""
        self._order.append(order)

    def wait(self) -> float:
        """Seconds until there is something to do here."""
        return BUSY if self._writing is not None else max(self._due - time.monotonic(), 0.0)

    def accept(self, hashes: NDArray[np.uint64]) -> None:
        """The hashes of the ids of events that were applied: the next commit keeps them."""
        if self._window:
            self._accepted.append(hashes)

    def step(self, positions: Callable[[], list[Position]], rejected: list[Rejected]) -> bool:
        """Between two batches: take in a commit that is done, begin one that is due. True: one was done.

        `rejected` are the records set aside since the last commit began; they are taken over and the list is emptied.
        """
        done = self._writing is not None and self._writing.done()
        if done:
            self._take_in()
        if self._writing is None and self._is_due():
            self._due = time.monotonic() + self._seconds  # nothing begins, and nothing ends, where nothing has changed
            self._begin(positions(), rejected)
        return done

    def finish(self, positions: list[Position], rejected: list[Rejected], *, always: bool = False) -> None:
        """Make everything applied so far durable, and return when it is. Always: even where nothing was applied."""
        if self._writing is not None:
            self._take_in()
        self._took = np.inf
        self._begin(positions, rejected, always=always)
        if self._writing is not None:
            self._take_in()

    def close(self) -> None:
        """Return when the committer writes no longer."""
        self._committer.shutdown()
        self._helper.shutdown()

    def _is_due(self) -> bool:
        return (
            time.monotonic() >= self._due
            or self._model.events - self._taken.events >= self._events
            or self._copier.size() >= MOST_COPIED
        )

    def _begin(self, positions: Sequence[Position], rejected: list[Rejected], *, always: bool = False) -> None:
        if list(positions) == self._taken.positions and self._taken.commit and not always:
            return
        began = time.perf_counter()
        changes = self._copier.take(self._helper)
        self._counters.commit_copy_seconds.observe(time.perf_counter() - began)
        reach("commit.copied")
        self._taken = msgspec.structs.replace(
            self._taken,
            counts=changes.counts,
            positions=list(positions),
            events=self._model.events,
            refused=self._model.refused,
            commit=self._taken.commit + 1,
        )
        writer = self._helper if self._took > LONG * self._seconds else self._committer
        self._began = time.monotonic()
        accepted = np.concatenate(self._accepted) if self._accepted else None
        self._writing = writer.submit(
            self._write, changes, self._taken, tuple(rejected), joined(self._order), accepted, tuple(self._erasures)
        )
        rejected.clear()
        self._erasures.clear()
        self._order.clear()
        self._accepted.clear()

    def _write(
        self,
        changes: Changes,
        meta: Meta,
        rejected: tuple[Rejected, ...],
        order: Runs,
        accepted: NDArray[np.uint64] | None,
        erasures: tuple[Erasure, ...],
    ) -> Meta:
        """The committer thread's work."""
        self._check()
        began = time.perf_counter()
        told = erased(erasures, self._store.key)
        written = self._store.commit(changes, meta, rejected, order.tobytes(), accepted, self._window, told)
        self._counters.commit_write_seconds.observe(time.perf_counter() - began)
        self._copier.back()
        return written

    def _take_in(self) -> None:
        if self._writing is not None:
            self.meta = self._writing.result()
            self._writing = None
            self._took = time.monotonic() - self._began
            self.at = time.time()
            reach("commit.taken_in")


def _give_way() -> None:
    """Lower this thread's priority. On Linux it is the thread's own, elsewhere the whole process's."""
    if sys.platform == "linux":
        os.nice(NICE)
