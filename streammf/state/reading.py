"""What one read transaction sees of a store: one commit, whole, whatever is written meanwhile.

Rules of this file:
1. What it gives is copied: nothing outlives the transaction that it came from.
2. What ought to be there and is not, or has another length, is a StoreError that names it.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec
import numpy as np

from streammf.errors import StoreError
from streammf.events.event import Rejected
from streammf.learning.tables import Array, Axis, Table
from streammf.state.accepted import read_accepted
from streammf.state.forgotten import Forgotten, remembered
from streammf.state.meta import Meta
from streammf.state.quarantine import kept_aside, read_sent
from streammf.state.records import BlockLayout, IdChunk

META: Final = b"meta"
#: What tells one store from all others, whatever they learned: a random number, which copies keep.
IDENTITY: Final = b"store id"
#: More than any number of commits.
MOST_COMMITS: Final = 1 << 63
#: Blocks handed over at once: some MiB, so that Python's share is small and memory stays bounded.
AT_ONCE: Final = 1024


def read_meta(transaction: "lmdb.Transaction[bytes]", database: Any) -> Meta | None:  # noqa: ANN401 - lmdb names no public type
    """The meta record; None before the first commit."""
    value = transaction.get(META, db=database)
    try:
        return None if value is None else msgspec.msgpack.decode(value, type=Meta)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the meta record of the store is damaged ({error}): restore a snapshot, or replay the log") from error


class Reading:
    """One moment of a store."""

    def __init__(self, transaction: "lmdb.Transaction[bytes]", databases: Mapping[str, Any], path: Path) -> None:
        self._transaction = transaction
        self._databases = databases
        self._path = path

    def meta(self) -> Meta | None:
        """The meta record; None before the first commit."""
        return read_meta(self._transaction, self._databases["meta"])

    def identity(self) -> str:
        """Which store this is, or is a copy of; empty: none that was ever written by this release."""
        return self._transaction.get(IDENTITY, b"", db=self._databases["meta"]).decode("ascii", "replace")

    def blocks(self, layout: BlockLayout, count: int) -> Iterator[tuple[int, bytes]]:
        """(number of the first, bytes) of runs of blocks, until `count` rows are there."""
        wanted, name = layout.blocks(count), layout.table.name
        with self._transaction.cursor(self._databases[f"rows.{name}"]) as cursor:
            records = iter(cursor)
            for first in range(0, wanted, AT_ONCE):
                number = min(AT_ONCE, wanted - first)
                run = list(islice(records, number))
                keys = b"".join([key for key, _ in run])
                if keys != np.arange(first, first + number, dtype=">u4").tobytes():
                    raise self._damaged(f"a block of the table {name} is missing near row {first * layout.rows:,}")
                if {len(value) for _, value in run} != {layout.size}:
                    raise self._damaged(f"a block of the table {name} has another length near row {first * layout.rows:,}")
                yield first, b"".join([value for _, value in run])

    def number_of_blocks(self, table: Table) -> int:
        """Blocks that are stored of a table."""
        return int(self._transaction.stat(self._databases[f"rows.{table.name}"])["entries"])

    def ids(self, axis: Axis, count: int) -> Iterator[IdChunk]:
        """All `count` ids of an axis, in row order."""
        following = 0
        with self._transaction.cursor(self._databases[f"ids.{axis.name.lower()}"]) as cursor:
            for key, value in cursor:
                try:
                    chunk = IdChunk.read(axis, key, value)
                except ValueError as error:
                    raise self._damaged(str(error)) from error
                if chunk.first != following:
                    break
                following += len(chunk.lengths)
                yield chunk
        if following != count:
            raise self._damaged(f"{following:,} of {count:,} {axis.name.lower()} ids are there")

    def quarantined(self, first: int = 0) -> Iterator[tuple[int, Rejected]]:
        """(number, record) of every rejection that is kept, from number `first` on, oldest first."""
        with self._transaction.cursor(self._databases["quarantine"]) as cursor:
            yield from kept_aside(cursor, first)

    def accepted(self) -> Array:
        """uint64: the hashes of the event ids that were accepted last, oldest first; none in a store of an older release."""
        if "window" not in self._databases:
            return np.zeros(0, np.uint64)
        with self._transaction.cursor(self._databases["window"]) as cursor:
            return read_accepted(cursor)

    def forgotten(self) -> list[Forgotten]:
        """Whom and what the store was told to forget."""
        if "forgotten" not in self._databases:  # a store of an older release
            return []
        with self._transaction.cursor(self._databases["forgotten"]) as cursor:
            return [*remembered(cursor)]

    def sent(self) -> int:
        """The number of the next rejection to be sent on as a dead letter."""
        return read_sent(self._transaction, self._databases["meta"])

    def order(self, last: int = MOST_COMMITS) -> bytes:
        """The journal of all commits up to number `last`: runs of records, one after the other; see trainer/order.py."""
        if "order" not in self._databases:  # a store that was last written by an earlier release
            return b""
        with self._transaction.cursor(self._databases["order"]) as cursor:
            return b"".join([value for number, value in cursor if int.from_bytes(number) <= last])

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"the store {self._path} is damaged: {what}; restore a snapshot, or replay the log")
