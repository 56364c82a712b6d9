"""Rejected records as the store keeps them, so that what could not be learned from is not lost.

Rules of this file:
1. Number n is the n-th rejection of this store's life, and never another's. The newest are kept, and how many is a setting: so
   what is kept depends on the log alone, never on where commits fell, until somebody drops or requeues one.
2. Each stands here whole: what its sender needs to mend it and send it again.
3. Up to which number they were sent on as dead letters stands beside them, for the same store.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import lmdb
import msgspec

from streammf.events.event import Rejected

#: Where, among the meta records, the number of the next record to be sent on stands.
SENT: Final = b"dead letters sent"


def set_aside(cursor: "lmdb.Cursor[bytes]", number: int, records: Sequence[Rejected], kept: int) -> int:
    """Write these rejections as `number` and following; return the number of the next.

    Of all that are there, the newest `kept` stay.
    """
    following = number + len(records)
    oldest = following - kept
    for n in range(max(number, oldest), following):
        cursor.put(n.to_bytes(8), msgspec.msgpack.encode(records[n - number]))
    while cursor.first() and int.from_bytes(cursor.key()) < oldest:
        cursor.delete()
    return following


def kept_aside(cursor: "lmdb.Cursor[bytes]", first: int = 0) -> Iterator[tuple[int, Rejected]]:
    """(number, record) of every rejection that is kept, from number `first` on, oldest first."""
    if cursor.set_range(first.to_bytes(8)):
        for number, value in cursor:
            yield int.from_bytes(number), msgspec.msgpack.decode(value, type=Rejected)


def replace(cursor: "lmdb.Cursor[bytes]", records: Iterable[tuple[int, Rejected]]) -> None:
    """Write other records under numbers that are there."""
    for number, record in [*records]:
        cursor.put(number.to_bytes(8), msgspec.msgpack.encode(record))


def drop(cursor: "lmdb.Cursor[bytes]", numbers: Iterable[int]) -> int:
    """Remove these; how many of them were there."""
    return sum(cursor.delete() for number in numbers if cursor.set_key(number.to_bytes(8)))


def read_sent(transaction: "lmdb.Transaction[bytes]", database: Any) -> int:  # noqa: ANN401 - lmdb names no public type
    """The number of the next record to be sent on as a dead letter."""
    return int.from_bytes(transaction.get(SENT, b"", db=database))
