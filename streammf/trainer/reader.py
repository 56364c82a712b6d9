"""Reads ahead: polls the source and makes batches ready, while the learner learns from the batch before.

Rules of this file:
1. The source is used by this thread alone while it runs.
2. The two threads share one interpreter. So whatever Python has to do about a batch is done here, and it is done while the
   learner is in a kernel, which does not need the interpreter: the reader begins with a batch when the learner says so.
3. Nothing is made ready behind a control event that erases before it was done: an id that comes again has another row then.
4. Nothing is swallowed: an error is handed over in its place among the batches, and raised by whoever takes it.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.events.records import nothing
from streammf.events.source import Partition, Records, Source
from streammf.failpoints import reach
from streammf.state.prepared import Prepared
from streammf.trainer.decoding import Decoded
from streammf.trainer.order import Runs

#: Batches read ahead: one being learned from, one ready, one being made ready keep both sides busy. More would only be older.
AHEAD: Final = 1
#: Seconds between two polls that found little: a batch costs the two threads a millisecond, whatever is in it, and where events
#: come one by one all day that would be all they do.
APART: Final = 0.005
#: Records of a batch that is little, unless more were not to be had at a time: behind a backlog nobody waits.
LITTLE: Final = 500


@dataclass(slots=True)
class Ready:
    """A batch ready to be learned from."""

    columns: Decoded
    events: Prepared
    """The same events, as the model takes them."""
    again: NDArray[np.uint16]
    """Kinds of the events that were left out, because the log's client delivered them again."""
    order: Runs
    """In which order its records came, where there are several partitions."""
    positions: Mapping[Partition, int]
    """The next offset of every partition after it."""
    duplicates: NDArray[np.uint16]
    """Kinds of the events that were left out, because their id was there before."""
    accepted: NDArray[np.uint64]
    """Hashes of the ids of the others that have one, where ids are looked at."""
    barred: NDArray[np.uint16]
    """Kinds of the events that were left out, because they name somebody whom a restored store has forgotten already."""
    erases: bool = False
    """Its last record erases: whoever has applied it says so to `Reader.erased`."""


class Reader(threading.Thread):
    """One source, read until it is exhausted or the reader is stopped."""

    def __init__(
        self,
        source: Source,
        prepare: Callable[[Records], Iterable[Ready]],
        most: Callable[[], int],
        idle_seconds: float,
        ahead: int = AHEAD,
    ) -> None:
        """`prepare` is called in this thread, with one batch of records after the other, and gives those to be learned from,
        one or more, each when it is asked for. `most`: records of the next batch, at most.

        ahead: batches that may be made ready before `go_on` is called for the first time, beside one.
        """
        super().__init__(name="reader", daemon=True)
        self._source = source
        self._prepare = prepare
        self._most = most
        self._idle_seconds = idle_seconds
        self._stopped = threading.Event()
        # not a SimpleQueue: interrupted by a signal whose handler outlasts the timeout, that waits without end (CPython 3.11)
        self._batches: queue.Queue[Ready | Exception | None] = queue.Queue()
        self._may_go_on = threading.Semaphore(ahead)
        self._erased = threading.Semaphore(0)

    def next(self, timeout: float) -> Ready | None:
        """The next batch; None where none came within `timeout` seconds. Raises what the source raised, EOFError at its end.

        Whoever has taken a batch calls `go_on` once.
        """
        try:
            batch = self._batches.get(timeout=timeout)
        except queue.Empty:
            return None
        if batch is None:
            raise EOFError
        if isinstance(batch, Exception):
            raise batch
        return batch

    def go_on(self, batches: int = 1) -> None:
        """Read another batch: the one taken last is about to be learned from."""
        self._may_go_on.release(batches)

    def erased(self) -> None:
        """A batch that erases was applied."""
        self._erased.release()

    def run(self) -> None:
        """The thread's own work: not to be called."""
        last: Exception | None = None
        try:
            reached: Mapping[Partition, int] = self._source.positions()
            due = 0.0
            while not self._stopped.wait(due - monotonic()):
                most = self._most()
                records = self._source.poll(most, self._idle_seconds)
                if records is None and self._source.exhausted:
                    break
                if records is None and (moved := self._source.positions()) != reached:
                    records = nothing(moved)  # the end of a transaction is in the log, and would be lag for ever
                if records is not None:
                    reached = records.positions
                    due = monotonic() + APART if len(records.offsets) < min(most, LITTLE) else 0.0
                    reach("reader.polled")
                    for ready in self._prepare(records):
                        self._hand_over(ready)
                        if self._stopped.is_set():
                            break
        except Exception as error:  # noqa: BLE001 - raised again by `next`, in the thread that can act on it
            last = error
        self._batches.put(last)

    def _hand_over(self, ready: Ready) -> None:
        """Return when the next batch may be made ready."""
        self._batches.put(ready)
        reach("reader.prepared")
        self._may_go_on.acquire()
        if ready.erases:
            self._erased.acquire()

    def stop(self) -> None:
        """Return when this thread uses the source no longer. Batches not taken are dropped: the log still has them."""
        self._stopped.set()
        self._may_go_on.release()
        self._erased.release()
        if self.is_alive():
            self.join()
