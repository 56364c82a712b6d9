"""The rows of external ids: bytes in, row numbers out, many at once, for the trainer and the query workers alike.

Rules of this file:
1. Rows are given in order of first appearance: the same ids in the same order give the same rows, in whatever batches.
2. An id is 1..255 bytes of UTF-8 without NUL. What is not cannot be registered, and is not found.
3. `register` and `load` make room before they change anything: an error leaves the table as it was.
4. Only the writer registers. A reader is told by the header how far to look: see `until`.
"""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np

from streammf.errors import MemoryFullError
from streammf.failpoints import reach
from streammf.learning.tables import Array
from streammf.state import slots
from streammf.state.region import PAGE, Region

FIRST_LEVEL: Final = 10
#: Of a level's slots. With 3/4 in use, a search that finds nothing looks at 8.5 on average (Knuth, linear probing): one
#: or two cache lines. An id costs 11 to 21 bytes of slots, and as much again in old levels.
FULL: Final = 0.75
MOST_BYTES: Final = 255


def capacity_of(level: int) -> int:
    """Ids that a level may hold."""
    return int(FULL * (1 << level))


class Texts(NamedTuple):
    """n ids within one text."""

    text: Array
    """uint8 (bytes,)"""
    begins: Array
    """int64 (n,): id i is text[begins[i] : stops[i]]."""
    stops: Array


class Ids:
    """The ids of one axis. `setting` names what limits their number."""

    def __init__(self, regions: tuple[Region, Region, Region], seed: int, limit: int, setting: str) -> None:
        slot_region, start_region, heap_region = self._regions = regions
        self._slots: Array = slot_region.array("u8", (slot_region.capacity // 8,))
        self._starts: Array = start_region.array("i8", (start_region.capacity // 8,))
        self._heap: Array = heap_region.array("u1", (heap_region.capacity,))
        self._seed = seed
        self._limit = limit
        self._setting = setting
        self.count = 0
        self.level = FIRST_LEVEL

    @classmethod
    def anonymous(cls, seed: int, limit: int, setting: str) -> Self:
        """In private memory."""
        slot_region, start_region, heap_region = (Region.anonymous(size) for size in _capacities(limit))
        return cls._begun((slot_region, start_region, heap_region), seed, limit, setting)

    @classmethod
    def create(cls, folder: Path, name: str, seed: int, limit: int, setting: str) -> Self:
        """In new files of a folder."""
        slot_region, start_region, heap_region = (
            Region.create(path, size) for path, size in zip(_paths(folder, name), _capacities(limit), strict=True)
        )
        return cls._begun((slot_region, start_region, heap_region), seed, limit, setting)

    @classmethod
    def attach(cls, folder: Path, name: str, seed: int) -> Self:
        """Read-only, of files that a writer made; knows no id until `until` says how many there are."""
        slot_region, start_region, heap_region = (Region.attach(path) for path in _paths(folder, name))
        return cls((slot_region, start_region, heap_region), seed, 0, "")

    @classmethod
    def _begun(cls, regions: tuple[Region, Region, Region], seed: int, limit: int, setting: str) -> Self:
        ids = cls(regions, seed, limit, setting)
        ids._back_level(FIRST_LEVEL)
        ids._make_room(0, 0)
        return ids

    def until(self, count: int, level: int) -> Self:
        """The same ids as they stood when there were `count` of them: what a header says of them. Costs no copy."""
        then = copy(self)
        then.count, then.level = count, level
        return then

    def rows(self, ids: Sequence[str]) -> Array:
        """int32 (n,): the row of each id, -1 where it is unknown."""
        return self._look_up(_encoded(ids))

    def register(self, ids: Sequence[str]) -> tuple[Array, Array]:
        """(int32 (n,) the row of each id, uint64 (m,) the hashes of the m new ones, in row order)."""
        return self.register_texts(packed(ids))

    def register_texts(self, ids: Texts) -> tuple[Array, Array]:
        """The same of ids that stand within one text. The caller has seen to it that none holds a NUL."""
        _check_lengths(ids)
        self._make_room(self._most_new(ids), int((ids.stops - ids.begins).sum()))
        rows = np.empty(len(ids.stops), np.int32)
        keys = np.empty(len(ids.stops), np.uint64)
        count = slots.register(
            self._slots, self.level, self._starts, self._heap, self.count, self._seed, *ids, rows, keys
        ).known
        before, self.count = self.count, count
        return rows, keys[: count - before]

    def load(self, heap: bytes, lengths: Array) -> Array:
        """Take over ids as `export` gave them, all new, in row order. Returns their hashes, uint64 (n,)."""
        first = self.count
        text = np.frombuffer(heap, np.uint8)
        stops = np.cumsum(lengths, dtype=np.int64)
        if (int(stops[-1]) if len(stops) else 0) != len(text):
            raise ValueError(f"{len(text)} bytes of ids, but the lengths say {int(stops[-1]) if len(stops) else 0}")
        if not text.all():
            raise ValueError("an id holds a NUL byte")
        rows, keys = self.register_texts(Texts(text, stops - lengths, stops))
        if len(keys) != len(stops):
            twice = int(np.flatnonzero(rows != np.arange(first, first + len(rows)))[0])
            raise ValueError(f"the id {self.names(rows[twice : twice + 1])[0]!r} is there twice")
        return keys

    def export(self, first: int, last: int) -> tuple[bytes, Array]:
        """(the bytes of the ids of rows first..last-1, one after another; uint8 (n,): the length of each)."""
        starts = self._starts[first : last + 1]
        if first >= last:
            return b"", np.zeros(0, np.uint8)
        return self._heap[starts[0] : starts[-1]].tobytes(), np.diff(starts).astype(np.uint8)

    def names(self, rows: Array) -> list[str]:
        """The ids of these rows, each of which is in 0..count-1."""
        rows = np.ascontiguousarray(rows, np.int32)
        if not len(rows):
            return []
        if rows.min() < 0 or rows.max() >= self.count:
            raise IndexError(f"rows {rows.min()}..{rows.max()} of {self.count}")
        text = np.empty(len(rows) + int((self._starts[rows + 1] - self._starts[rows]).sum()), np.uint8)
        end = slots.gather(self._starts, self._heap, rows, text)
        return text[: end - 1].tobytes().decode().split("\0")

    def close(self) -> None:
        """Let go of the files. Arrays and ids looked up before stay good."""
        for region in self._regions:
            region.close()

    def _look_up(self, ids: Texts) -> Array:
        rows = np.empty(len(ids.stops), np.int32)
        slots.look_up(self._slots, self.level, self._starts, self._heap, self.count, self._seed, *ids, rows)
        return rows

    def _most_new(self, ids: Texts) -> int:
        """How many of these may be new. Counted exactly only where that decides whether the table has to grow."""
        if self.count + len(ids.stops) <= min(capacity_of(self.level), self._limit):
            return len(ids.stops)
        unknown = np.flatnonzero(self._look_up(ids) < 0)
        begins, stops = ids.begins[unknown].tolist(), ids.stops[unknown].tolist()
        whole = ids.text.tobytes()
        return len({whole[a:b] for a, b in zip(begins, stops, strict=True)})

    def _make_room(self, new: int, size: int) -> None:
        """Room for `new` more ids of `size` bytes together."""
        needed = self.count + new
        if needed > self._limit:
            raise MemoryFullError(f"{needed:,} ids are more than {self._setting} = {self._limit:,} allows: raise it")
        _, start_region, heap_region = self._regions
        start_region.grow(8 * (needed + 1))
        heap_region.grow(int(self._starts[self.count]) + size + 1)  # `touch` reads the byte after the last
        while capacity_of(self.level) < needed:
            self._back_level(self.level + 1)
            slots.widen(self._slots, self.level)
            reach("ids.widened")
            self.level += 1

    def _back_level(self, level: int) -> None:
        """Back a level's slots. Those of an attempt that failed later are backed already, and clean."""
        self._regions[0].reserve(8 << level, 16 << level)


def _capacities(limit: int) -> tuple[int, int, int]:
    """Bytes of slots, starts and heap for `limit` ids."""
    level = FIRST_LEVEL
    while capacity_of(level) < limit:
        level += 1
    return 16 << level, 8 * (limit + 1), limit * MOST_BYTES + PAGE


def _paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / f"{name}.slots", folder / f"{name}.starts", folder / f"{name}.heap"


def packed(ids: Sequence[str]) -> Texts:
    """As the kernels take them: joined by NUL, which costs no Python an id. ValueError where one holds a NUL or no UTF-8."""
    begins = np.empty(len(ids), np.int64)
    stops = np.empty(len(ids), np.int64)
    try:
        text = np.frombuffer("\0".join(ids).encode(), np.uint8)
    except UnicodeEncodeError:
        text = None
    if text is None or (ids and slots.split(text, begins, stops) != len(ids)):
        raise ValueError("an id holds a NUL byte or half a surrogate pair")
    return Texts(text, begins, stops)


def _encoded(ids: Sequence[str]) -> Texts:
    """The same of what a query may ask for: an id with a NUL or half a surrogate pair is no id of ours, and hits nothing."""
    try:
        return packed(ids)
    except ValueError:
        return joined([id_.encode("utf-8", "surrogatepass") for id_ in ids])


def joined(parts: Sequence[bytes]) -> Texts:
    """Any bytes at all as texts within one, NULs included."""
    lengths = np.array([len(part) for part in parts], np.int64)
    stops = np.cumsum(lengths)
    return Texts(np.frombuffer(b"".join(parts), np.uint8), stops - lengths, stops)


def _check_lengths(ids: Texts) -> None:
    """ValueError where an id is empty or too long."""
    if not len(ids.stops):
        return
    lengths = ids.stops - ids.begins
    if lengths.min() < 1 or lengths.max() > MOST_BYTES:
        raise ValueError(f"an id is 1..{MOST_BYTES} bytes, got one of {lengths.min()} or {lengths.max()}")
