"""The hashes of accepted event ids as the store keeps them: a run of them for each commit that accepted some.

Rules of this file:
1. A run's key is the number of its first hash, counted from the store's first: so runs stand in order.
2. Runs that lie before the window as a whole are removed; so at least the newest `window` hashes are there.
"""

import lmdb
import numpy as np

from streammf.learning.tables import Array


def add_accepted(cursor: "lmdb.Cursor[bytes]", accepted: Array, window: int) -> None:
    """Put these after those that are there, and remove what the newest `window` do without."""
    following = _following(cursor)
    if len(accepted):
        cursor.put(following.to_bytes(8), accepted.tobytes())
        following += len(accepted)
    while cursor.first() and int.from_bytes(cursor.key()) + len(cursor.value()) // 8 <= following - window:
        cursor.delete()


def read_accepted(cursor: "lmdb.Cursor[bytes]") -> Array:
    """uint64, oldest first."""
    return np.frombuffer(b"".join(value for _, value in cursor), np.uint64)


def _following(cursor: "lmdb.Cursor[bytes]") -> int:
    return int.from_bytes(cursor.key()) + len(cursor.value()) // 8 if cursor.last() else 0
