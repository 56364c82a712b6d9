"""Watches the log while the trainer learns from it: where it ends, and whether it can be reached.

Rules of this file:
1. Asking a log may take seconds: this is a thread of its own, and learning never waits for it.
2. It says what it finds, in the trainer's note, and decides nothing. It is never an error of the trainer's.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from streammf.counters.block import Block
from streammf.errors import StreamMFError
from streammf.events.source import Partition, Source, Standing
from streammf.trainer import note
from streammf.trainer.note import MOST_NAMED, End, Note

#: Seconds between two looks.
PAUSE: Final = 2.0


class Watcher(threading.Thread):
    """Watches `source` until it is stopped. `clocks` tells the largest event time applied from each partition."""

    def __init__(self, source: Source, block: Block, clocks: Callable[[], Mapping[Partition, int]]) -> None:
        super().__init__(name="watcher", daemon=True)
        self._source = source
        self._block = block
        self._clocks = clocks
        self._stopped = threading.Event()
        self._last = Note(since=time.time())
        self._one_at_a_time = threading.Lock()

    def run(self) -> None:
        """The thread's own work: not to be called."""
        while True:
            try:
                standing = self._source.standing()
            except StreamMFError as error:
                standing = Standing({}, {}, str(error))
            with self._one_at_a_time:
                if self._stopped.is_set():
                    return
                self._last = self._noted(standing)
                note.write(self._block, self._last)
            self._stopped.wait(PAUSE)

    def stop(self, doing: str = "", *, finished: bool = False) -> None:
        """Say this, the first time, and nothing after it. A question that is under way ends by itself, and holds nothing."""
        with self._one_at_a_time:
            if self._stopped.is_set():
                return
            self._stopped.set()
            note.write(self._block, msgspec.structs.replace(self._last, doing=doing, finished=finished))

    def _noted(self, standing: Standing) -> Note:
        clocks = self._clocks()
        ends = [
            End(*partition, standing.ends[partition], standing.readable.get(partition, 0), clocks.get(partition, 0))
            for partition in sorted(standing.ends)
        ]
        named, others = ends[:MOST_NAMED], ends[MOST_NAMED:]
        return Note(trouble=standing.trouble, since=self._last.since, ends=named, others=together(others) if others else None)


def together(ends: list[End]) -> End:
    """Several partitions as one."""
    return End(
        topic="others",
        partition=-1,
        end=sum(end.end for end in ends),
        readable=sum(end.readable for end in ends),
        clock=min(end.clock for end in ends),
    )
