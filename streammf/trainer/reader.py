"""Reads ahead: polls the source and decodes, while the learner learns the batch before.

Rules of this file:
1. The source is used by this thread alone while it runs.
2. Nothing is swallowed: an error is handed over in its place among the batches, and raised by whoever takes it.
"""

import queue
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from streammf.events.codec import decode
from streammf.events.event import Columns
from streammf.events.source import Partition, Source

#: Batches read ahead: one being learned from, one ready, one being decoded keep both sides busy. More would only be older.
AHEAD: Final = 1


@dataclass(slots=True)
class Decoded:
    """A batch ready to be learned from."""

    columns: Columns
    positions: Mapping[Partition, int]
    """The next offset of every partition after it."""


class Reader(threading.Thread):
    """One source, read until it is exhausted or the reader is stopped."""

    def __init__(
        self,
        source: Source,
        types: Collection[str],
        value_range: tuple[float, float],
        most: int,
        idle_seconds: float,
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self._source = source
        self._types = types
        self._value_range = value_range
        self._most = most
        self._idle_seconds = idle_seconds
        self._stopped = threading.Event()
        self._batches: queue.Queue[Decoded | Exception | None] = queue.Queue(AHEAD)

    def next(self, timeout: float) -> Decoded | None:
        """The next batch; None where none came within `timeout` seconds. Raises what the source raised, EOFError at its end."""
        try:
            batch = self._batches.get(timeout=timeout)
        except queue.Empty:
            return None
        if batch is None:
            raise EOFError
        if isinstance(batch, Exception):
            raise batch
        return batch

    def run(self) -> None:
        """The thread's own work: not to be called."""
        last: Exception | None = None
        try:
            while not self._stopped.is_set():
                records = self._source.poll(self._most, self._idle_seconds)
                if records is not None:
                    columns = decode(records, self._source.partitions, self._types, self._value_range)
                    self._hand_over(Decoded(columns, records.positions))
                elif self._source.exhausted:
                    break
        except Exception as error:  # noqa: BLE001 - raised again by `next`, in the thread that can act on it
            last = error
        self._hand_over(last)

    def stop(self) -> None:
        """Return when this thread uses the source no longer. Batches not taken are dropped: the log still has them."""
        self._stopped.set()
        if self.is_alive():
            self.join()

    def _hand_over(self, batch: Decoded | Exception | None) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._batches.put(batch, timeout=0.1)
                return
