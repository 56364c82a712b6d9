"""The rows of external ids: bytes in, row numbers out, many at once, for the trainer and the query workers alike.

Rules of this file:
1. Rows are given in order of first appearance, forgotten ones first, the lowest first: the same ids in the same order give the
   same rows, in whatever batches.
2. An id is 1..255 bytes of UTF-8 without NUL. What is not cannot be registered, and is not found.
3. `register` and `load` make room before they change anything: an error leaves the table as it was.
4. `forget` leaves nothing of an id, in any level. Its row may be given to another id from then on; the name of a row that has
   none is empty.
5. Only the writer registers and forgets. A reader is told by the header how far to look: see `until`.
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
#: Times that a reader looks again for what it does not find while ids are being forgotten: each takes about a µs. More of them
#: means that the writer was killed in between.
LOOKS: Final = 1_000


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


class Registered(NamedTuple):
    """Ids that have rows now."""

    rows: Array
    """int32 (n,): the row of each."""
    keys: Array
    """uint64 (m,): the hashes of the m new ones, in order of appearance."""
    new: Array
    """int32 (m,): the rows of these."""


class Room(NamedTuple):
    """What a kernel needs to register ids; see slots.py."""

    slots: Array
    level: int
    places: Array
    heap: Array
    end: int
    seed: int
    rows: int
    given: Array
    """int32, rows for those that are new, in order."""


class Ids:
    """The ids of one axis. `setting` names what limits their number."""

    def __init__(self, regions: tuple[Region, Region, Region], seed: int, limit: int, setting: str) -> None:
        slot_region, place_region, heap_region = self._regions = regions
        self._slots: Array = slot_region.array("u8", (slot_region.capacity // 8,))
        self._places: Array = place_region.array("i8", (place_region.capacity // 8,))
        self._heap: Array = heap_region.array("u1", (heap_region.capacity,))
        self.seed = seed
        """Of the hashes."""
        self.limit = limit
        """The most ids."""
        self._setting = setting
        self._end = 0
        self.count = 0
        """Rows, those without an id included."""
        self.level = FIRST_LEVEL
        self.free: Array = np.zeros(0, np.int32)
        """Rows without an id, ascending. For the writer."""

    @classmethod
    def anonymous(cls, seed: int, limit: int, setting: str) -> Self:
        """In private memory."""
        slot_region, place_region, heap_region = (Region.anonymous(size) for size in _capacities(limit))
        return cls._begun((slot_region, place_region, heap_region), seed, limit, setting)

    @classmethod
    def create(cls, folder: Path, name: str, seed: int, limit: int, setting: str) -> Self:
        """In new files of a folder."""
        slot_region, place_region, heap_region = (
            Region.create(path, size) for path, size in zip(_paths(folder, name), _capacities(limit), strict=True)
        )
        return cls._begun((slot_region, place_region, heap_region), seed, limit, setting)

    @classmethod
    def attach(cls, folder: Path, name: str, seed: int) -> Self:
        """Read-only, of files that a writer made; knows no id until `until` says how many there are."""
        slot_region, place_region, heap_region = (Region.attach(path) for path in _paths(folder, name))
        return cls((slot_region, place_region, heap_region), seed, 0, "")

    @classmethod
    def _begun(cls, regions: tuple[Region, Region, Region], seed: int, limit: int, setting: str) -> Self:
        ids = cls(regions, seed, limit, setting)
        regions[0].reserve(0, 8)
        ids._back_level(FIRST_LEVEL)
        ids._make_room(0, 0, 0)
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
        """(int32 (n,) the row of each id, uint64 (m,) the hashes of the m new ones, in order of appearance)."""
        registered = self.register_texts(packed(ids))
        return registered.rows, registered.keys

    def register_texts(self, ids: Texts) -> Registered:
        """Rows for ids that stand within one text. The caller has seen to it that none holds a NUL."""
        check_lengths(ids)
        registered = self._register(ids, self.room_for(ids).given)
        self.free = self.free[len(registered.new) :]
        return registered

    def room_for(self, ids: Texts, most: int = 0) -> Room:
        """What a kernel needs to register the new ones among these, as many as there may be ids: `most`, where that is not 0.

        Raises MemoryFullError, and has changed nothing then. Whoever has registered some says so to `took`.
        """
        new, size = self._most_new(ids, most), int((ids.stops - ids.begins).sum())
        self._make_room(max(new - len(self.free), 0), new, size)
        again = self.free[:new]
        given = np.concatenate((again, np.arange(self.count, self.count + new - len(again), dtype=np.int32)))
        return Room(self._slots, self.level, self._places, self._heap, self._end, self.seed, self.count, given)

    def took(self, given: Array, new: int, end: int) -> Array:
        """The first `new` rows of `given` have ids now, and so many bytes are used. Returns these rows."""
        taken = given[:new]
        self._end = end
        self.count = max(self.count, int(taken.max(initial=-1)) + 1)
        return taken

    def _register(self, ids: Texts, given: Array) -> Registered:
        """New ids get the rows of `given`, for which there is room."""
        rows = np.empty(len(ids.stops), np.int32)
        keys = np.empty(len(ids.stops), np.uint64)
        new, end, _ = slots.register(
            self._slots, self.level, self._places, self._heap, self._end, self.seed, *ids, given, rows, self.count, keys
        )
        return Registered(rows, keys[:new], self.took(given, new, end))

    def forget(self, rows: Array) -> None:
        """Forget the ids of these rows, int32, all below `count`; rows without one may be among them."""
        rows = np.ascontiguousarray(np.unique(rows), np.int32)
        slots.forget(self._slots, FIRST_LEVEL, self.level, self._places, self._heap, self.seed, rows)
        self.free = np.union1d(self.free, rows)

    def load(self, heap: bytes, lengths: Array) -> Array:
        """Take over ids as `export` gave them, all new, in row order. Returns their hashes, uint64 (n,).

        A length of 0 is a row without an id, which has no hash here either.
        """
        first = self.count
        text = np.frombuffer(heap, np.uint8)
        stops = np.cumsum(lengths, dtype=np.int64)
        if (int(stops[-1]) if len(stops) else 0) != len(text):
            raise ValueError(f"{len(text)} bytes of ids, but the lengths say {int(stops[-1]) if len(stops) else 0}")
        if not text.all():
            raise ValueError("an id holds a NUL byte")
        named = np.flatnonzero(lengths)
        self._make_room(len(lengths), len(named), len(text))
        given = (first + named).astype(np.int32)
        rows, keys, _ = self._register(Texts(text, (stops - lengths)[named], stops[named]), given)
        if len(keys) != len(named):
            twice = int(np.flatnonzero(rows != given)[0])
            raise ValueError(f"the id {self.names(rows[twice : twice + 1])[0]!r} is there twice")
        self.count = first + len(lengths)
        nameless = (first + np.flatnonzero(np.asarray(lengths) == 0)).astype(np.int32)
        self._places[nameless] = 0
        self.free = np.concatenate((self.free, nameless))
        return keys

    def export(self, first: int, last: int) -> tuple[bytes, Array]:
        """(the bytes of the ids of rows first..last-1, one after another; uint8 (n,): the length of each)."""
        return self.spelled(np.arange(first, max(first, last), dtype=np.int32))

    def spelled(self, rows: Array) -> tuple[bytes, Array]:
        """The same of any rows. For the writer; a row without an id has length 0.

        Other threads may register meanwhile: what then is said of a row that is free is not to be relied on.
        """
        places = self._places[rows]
        lengths = (places & 255).astype(np.uint8)
        text = np.empty(int(lengths.sum(dtype=np.int64)), np.uint8)
        slots.gather(places, self._heap, np.arange(len(rows), dtype=np.int32), 0, text)
        return text.tobytes(), lengths

    def names(self, rows: Array) -> list[str]:
        """The ids of these rows, each of which is in 0..count-1; empty where a row has none."""
        rows = np.ascontiguousarray(rows, np.int32)
        if not len(rows):
            return []
        if rows.min() < 0 or rows.max() >= self.count:
            raise IndexError(f"rows {rows.min()}..{rows.max()} of {self.count}")
        text = np.empty(len(rows) + int((self._places[rows] & 255).sum()), np.uint8)
        end = slots.gather(self._places, self._heap, rows, 1, text)
        found = text[: end - 1].tobytes().decode().split("\0")
        return found if len(found) == len(rows) else self.names(rows)  # a row was given again meanwhile, to a longer id

    def close(self) -> None:
        """Let go of the files. Arrays and ids looked up before stay good."""
        for region in self._regions:
            region.close()

    def _look_up(self, ids: Texts) -> Array:
        rows = np.empty(len(ids.stops), np.int32)
        for _ in range(LOOKS):
            forgotten = self._slots[0]
            slots.look_up(self._slots, self.level, self._places, self._heap, self.count, self.seed, *ids, rows)
            if (forgotten == self._slots[0] and forgotten % 2 == 0) or rows.min(initial=0) >= 0:
                break
        return rows

    def _most_new(self, ids: Texts, most: int) -> int:
        """How many of these may be new. Counted exactly only where that decides whether the table has to grow."""
        allowed = max(most - (self.count - len(self.free)), 0) if most else len(ids.stops)
        if self.count + min(len(ids.stops), allowed) <= min(capacity_of(self.level), self.limit):
            return min(len(ids.stops), allowed)  # free rows only make that easier
        unknown = np.flatnonzero(self._look_up(ids) < 0)
        begins, stops = ids.begins[unknown].tolist(), ids.stops[unknown].tolist()
        whole = ids.text.tobytes()
        return min(len({whole[a:b] for a, b in zip(begins, stops, strict=True)} - {b""}), allowed)

    def _make_room(self, rows: int, ids: int, size: int) -> None:
        """Room for so many more rows, for so many more ids, of `size` bytes together."""
        needed = self.count + rows
        if needed > self.limit:
            raise MemoryFullError(f"{needed:,} ids are more than {self._setting} = {self.limit:,} allows: raise it")
        _, place_region, heap_region = self._regions
        place_region.grow(8 * (needed + 1))
        heap_region.grow(self._end + size + 1)  # `touch` reads the byte after the last
        while capacity_of(self.level) < self.count - len(self.free) + ids:
            self._back_level(self.level + 1)
            slots.widen(self._slots, self.level)
            reach("ids.widened")
            self.level += 1

    def _back_level(self, level: int) -> None:
        """Back a level's slots. Those of an attempt that failed later are backed already, and clean."""
        self._regions[0].reserve(8 << level, 16 << level)


def _capacities(limit: int) -> tuple[int, int, int]:
    """Bytes of slots, places and heap for `limit` ids."""
    level = FIRST_LEVEL
    while capacity_of(level) < limit:
        level += 1
    return 16 << level, 8 * (limit + 1), limit * MOST_BYTES + PAGE


def _paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / f"{name}.slots", folder / f"{name}.places", folder / f"{name}.heap"


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


def check_lengths(ids: Texts) -> None:
    """ValueError where an id is empty or too long."""
    if not len(ids.stops):
        return
    lengths = ids.stops - ids.begins
    if lengths.min() < 1 or lengths.max() > MOST_BYTES:
        raise ValueError(f"an id is 1..{MOST_BYTES} bytes, got one of {lengths.min()} or {lengths.max()}")
