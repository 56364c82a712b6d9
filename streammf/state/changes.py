"""What changed since the last commit: copied out of memory between two batches, and joined with what is stored afterwards.

Rules of this file:
1. `Copier.take` is all that learning waits for: it copies changed rows and nothing beside them. What it returns, learning does
   not touch; it knows no transaction.
2. The store keeps blocks. The rows of a block that did not change are taken from the block that is stored, by the thread that
   writes: a row that is not marked stands there as it stands in memory. A block whose rows all changed is not read.
3. Where there is much to copy a second thread copies half of it: rows stand anywhere in memory, and either thread mostly waits
   for it.
4. Memory that is touched for the first time costs more than the copy: the copies of all commits stand in the same bytes, and
   those are touched ahead, while nobody waits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Final, NamedTuple

import lmdb
import numpy as np
from numba import types
from numpy.typing import NDArray

from streammf.errors import StoreError
from streammf.learning.arguments import Mark, array_type
from streammf.learning.compiling import kernel
from streammf.learning.tables import Array, Axis, row_bytes
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.records import BlockLayout, IdChunk, chunk_at, id_chunks, nameless, split
from streammf.state.region import Region

#: Bytes of address for the copies of one table; and bytes of it that are touched before the first copy.
ROOM: Final = 256 << 20
FIRST_BACKED: Final = 8 << 20
#: Blocks joined at a time: about a MiB, so that reading them holds other threads up for less than a millisecond.
AT_ONCE: Final = 256
#: Bytes of one table from which on two threads copy them: .3 ms for one.
MUCH: Final = 1 << 20
#: The counts of a store that holds nothing.
NOTHING: Final = (0,) * len(Axis)

Read = Callable[[list[bytes]], Iterable[tuple[bytes | memoryview, bytes | memoryview]]]
"""Keys in, the (key, value) of those that are stored out, in the same order."""


class Rows(NamedTuple):
    """Changed rows of one table."""

    layout: BlockLayout
    stored: int
    """Rows of the table that the store holds already."""
    numbers: NDArray[np.int32]
    """(n,) ascending."""
    columns: Sequence[Array]
    """Their values: (n,) or (n, width) each."""

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return sum(column.nbytes for column in self.columns)

    def records(self, read: Read) -> Iterator[list[tuple[bytes, memoryview]]]:
        """(key, value) of every block that holds one of the rows, some blocks at a time: good until the next ones."""
        layout = self.layout
        blocks = self.numbers // layout.rows
        starts = np.flatnonzero(np.diff(blocks, prepend=-1))
        room = np.empty((min(AT_ONCE, len(starts)), layout.size), np.uint8)  # once: each new MiB is 256 page faults
        for first in range(0, len(starts), AT_ONCE):
            rows = slice(starts[first], starts[first + AT_ONCE] if first + AT_ONCE < len(starts) else len(blocks))
            numbers = blocks[starts[first : first + AT_ONCE]]
            keys = numbers.astype(">u4").tobytes()
            named = [keys[at : at + 4] for at in range(0, len(keys), 4)]
            content = room[: len(numbers)]
            many = np.diff(starts[first : first + AT_ONCE], append=rows.stop)
            partly = (numbers < layout.blocks(self.stored)) & (many < layout.rows)
            content[~partly] = 0
            content[partly] = self._stored(read, [key for key, one in zip(named, partly, strict=True) if one])
            at = np.repeat(np.arange(len(numbers)), many) * layout.size
            slots = self.numbers[rows] % layout.rows
            for part, column in zip(layout.parts, self.columns, strict=True):
                values = column[rows].reshape(len(slots), -1).view(np.uint8)
                scatter(values, at + part.start + slots * part.row, content.reshape(-1))
            whole = content.reshape(-1).data
            yield [(key, whole[n * layout.size : (n + 1) * layout.size]) for n, key in enumerate(named)]

    def _stored(self, read: Read, keys: list[bytes]) -> Array:
        """The blocks of these keys as they are stored: uint8 (n, size)."""
        values = [value for _, value in read(keys)]
        if len(values) != len(keys) or any(len(value) != self.layout.size for value in values):
            raise StoreError(
                f"the store is damaged: a block of the table {self.layout.table.name} is missing or has another length; "
                "restore a snapshot, or replay the log"
            )
        return np.frombuffer(b"".join(values), np.uint8).reshape(-1, self.layout.size)


class Renamed(NamedTuple):
    """Rows that have another id now, or none."""

    axis: Axis
    rows: list[int]
    ids: list[bytes]
    """The id of each; empty: forgotten."""

    def records(self, cursor: "lmdb.Cursor[bytes]") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every chunk of ids that holds one of the rows. cursor: over those that are stored."""
        chunk: IdChunk | None = None
        names: list[bytes] = []
        for row, name in sorted(zip(self.rows, self.ids, strict=True)):
            if chunk is None or row >= chunk.first + len(names):
                if chunk is not None:
                    yield IdChunk.of(self.axis, chunk.first, names).record()
                try:
                    chunk = chunk_at(cursor, self.axis, row)
                except ValueError as error:
                    raise StoreError(f"the store is damaged: {error}; restore a snapshot, or replay the log") from error
                names = chunk.names()
            names[row - chunk.first] = name
        if chunk is not None:
            yield IdChunk.of(self.axis, chunk.first, names).record()


class Changes(NamedTuple):
    """Everything that changed between two moments, in bytes that learning does not touch."""

    counts: list[int]
    """Rows in use, by Axis, at the second one."""
    vacant: tuple[int, int]
    """Of these, forgotten ones that stand for nothing: users, items."""
    rows: list[Rows]
    ids: list[IdChunk]
    """New ones."""
    renamed: list[Renamed]
    """Ids of rows that the store holds already."""


class Copier:
    """Copies what changed out of a memory, again and again into the same bytes."""

    def __init__(self, memory: Memory, users: Ids, items: Ids, since: Sequence[int] = NOTHING) -> None:
        self._memory = memory
        self._ids = {Axis.USER: users, Axis.ITEM: items}
        self._since = since
        self._rooms = [_Room(BlockLayout.of(table, memory.dimensions), memory) for table in memory.tables]

    def size(self) -> int:
        """Bytes that `take` would copy now, at most."""
        memory, size = self._memory, 0
        for room in self._rooms:
            axis, mark = room.layout.table.axis, room.mark
            new = int(memory.counts[axis]) - self._since[axis]
            size += (new + int(mark.used[0])) * room.row if mark is not None else 0
        return size

    def take(self, helper: Executor | None = None) -> Changes:
        """What changed since the last call, at first since the counts were `since`; the marks are cleared. helper: copies half.

        Only between two batches, and only once the Changes of the call before are committed: the bytes are used again.
        Rows that were added count as changed, whether an event touched them or not.
        """
        memory, since = self._memory, self._since
        counts = [int(n) for n in memory.counts]
        rows = []
        for room in self._rooms:
            axis = room.layout.table.axis
            numbers = changed_rows(room.mark, since[axis], counts[axis])
            stored = 0 if room.mark is None else since[axis]  # whole anyway, and may be a table that the store has not yet
            rows.append(Rows(room.layout, stored, numbers, room.copy(numbers, helper)))
        chunks = [chunk for axis, ids in self._ids.items() for chunk in id_chunks(axis, ids, since[axis], counts[axis])]
        renamed = [one for axis, ids in self._ids.items() if (one := self._renamed(axis, ids)).rows]
        for axis in self._ids:
            vacant = {row for row in memory.vacant[axis] if row >= since[axis]}
            chunks = [nameless(chunk, vacant) if chunk.axis == axis and vacant else chunk for chunk in chunks]
        memory.clear_marks()
        self._since = counts
        return Changes(counts, memory.vacancies, rows, chunks, renamed)

    def _renamed(self, axis: Axis, ids: Ids) -> Renamed:
        """Vacant rows have no id, even if one was registered for them that is not admitted yet."""
        rows = sorted(row for row in self._memory.renamed[axis] if row < self._since[axis])
        heap, lengths = ids.spelled(np.array(rows, np.int32))
        names = split(heap, lengths)
        vacant = self._memory.vacant[axis]
        return Renamed(axis, rows, [b"" if row in vacant else name for row, name in zip(rows, names, strict=True)])

    def back(self) -> None:
        """Touch twice the bytes that the largest copy so far took, so that the next may be larger. For any thread, between
        a commit and the next `take`.
        """
        for room in self._rooms:
            room.back(2 * room.most)


class _Room:
    """Where the copies of one table stand."""

    def __init__(self, layout: BlockLayout, memory: Memory) -> None:
        self.layout = layout
        self.row = row_bytes(layout.table, memory.dimensions)
        self.mark: Mark | None = getattr(memory.marks, layout.table.name, None)
        self.most = 0
        """Rows of the largest copy so far."""
        self._columns = memory.arrays[layout.table.name]
        self._rows = ROOM // self.row
        self._places = [
            Region.anonymous(self._rows * part.row).array(column.dtype.str, (self._rows, *column.shape[1:]))
            for part, column in zip(layout.parts, self._columns, strict=True)
        ]
        self._backed = 0
        self.back(min(FIRST_BACKED // self.row, memory.most_rows(layout.table.axis)))

    def copy(self, numbers: NDArray[np.int32], helper: Executor | None) -> list[Array]:
        """These rows of every column."""
        n = len(numbers)
        self.most = max(self.most, min(n, self._rows))
        places = self._places
        if n > self._rows:  # a first commit, or one long overdue
            places = [np.empty((n, *column.shape[1:]), column.dtype) for column in self._columns]

        def gather(rows: slice) -> None:
            for column, place in zip(self._columns, places, strict=True):
                np.take(column, numbers[rows], axis=0, out=place[rows], mode="clip")

        if helper is not None and n * self.row >= MUCH:
            other = helper.submit(gather, slice(n // 2))
            gather(slice(n // 2, n))
            other.result()
        else:
            gather(slice(n))
        return [place[:n] for place in places]

    def back(self, rows: int) -> None:
        """Touch the bytes of the first `rows` rows."""
        rows = min(rows, self._rows)
        for place in self._places:
            place[self._backed : rows] = 0
        self._backed = max(rows, self._backed)


def changed_rows(mark: Mark | None, since: int, count: int) -> NDArray[np.int32]:
    """Numbers of the marked and the new rows. A table without marks counts as changed, whole."""
    if mark is None:
        return np.arange(count, dtype=np.int32)
    marked = mark.rows[: mark.used[0]]
    return np.concatenate((np.sort(marked[marked < since]), np.arange(since, count, dtype=np.int32)))


@kernel(types.void(array_type("u1", 2), array_type("i8", 1), array_type("u1", 1)))
def scatter(values: Array, places: Array, out: Array) -> None:
    """out[places[n]:] begins with values[n]."""
    for n in range(len(values)):
        source = values[n]
        target = out[places[n] : places[n] + len(source)]
        for i in range(len(source)):  # over slices from 0 on: what else there is to write keeps LLVM from vectors
            target[i] = source[i]
