"""Rejected records as the store keeps them, so that what could not be learned from is not lost.

Rules of this file:
1. Number n is the n-th rejection of this store's life. The newest are kept, and how many is a setting: so what is kept
   depends on the log alone, never on where commits fell.
2. Each stands here whole: what its sender needs to mend it and send it again.
"""

from collections.abc import Iterator, Sequence

import lmdb
import msgspec

from streammf.events.event import Rejected


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


def kept_aside(cursor: "lmdb.Cursor[bytes]") -> Iterator[tuple[int, Rejected]]:
    """(number, record) of every rejection that is kept, oldest first."""
    for number, value in cursor:
        yield int.from_bytes(number), msgspec.msgpack.decode(value, type=Rejected)
