"""Rows of the live memory as the store keeps them: in blocks, copied out and in as bytes.

Rules of this file:
1. A block holds its rows column by column and fills whole pages of LMDB well: a record of more than half a page stands
   on pages of its own, and rewriting one row costs no less than rewriting its pages.
2. What lies past the rows in use is zero. So a block's bytes follow from its rows alone.
3. `Copier.take` is all that learning waits for: what it returns, learning does not touch; it knows no transaction.
4. The length of every key and value is divisible by 4.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numba import types
from numpy.typing import NDArray

from streammf.learning.arguments import Mark, array_type
from streammf.learning.compiling import kernel
from streammf.learning.tables import Array, Axis, Dimensions, Table
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.region import Region

#: LMDB's page and the header of a page, bytes.
PAGE: Final = 4096
PAGE_HEADER: Final = 16
#: A block takes the fewest pages of which its rows fill this part. Blocks of one page need no run of free pages.
WELL_FILLED: Final = 0.75
MOST_PAGES: Final = 8

#: Ids of one record: a record takes a run of free pages, which an old store finds the harder the longer it is.
CHUNK_IDS: Final = 4096

#: Bytes of address for the copies of one table. 20,000 users that stand in as many blocks take 80 MiB.
ROOM: Final = 128 << 20

#: The counts of a store that holds nothing.
NOTHING: Final = (0,) * len(Axis)


class Part(NamedTuple):
    """Where a column stands in a block."""

    name: str
    dtype: str
    width: int
    start: int
    """Bytes from the beginning of the block."""
    size: int
    """Bytes in the block."""
    row: int
    """Bytes of one row."""


class BlockLayout(NamedTuple):
    """How a table's rows are cut into blocks."""

    table: Table
    rows: int
    """Rows a block."""
    size: int
    """Bytes a block."""
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, table: Table, dimensions: Dimensions) -> Self:
        """The layout follows from the declaration alone."""
        columns = [(name, c.dtype, dimensions.of(c.width)) for name, c in table.items()]
        row_sizes = [np.dtype(dtype).itemsize * width for _, dtype, width in columns]
        rows = rows_per_block(sum(row_sizes))
        parts, start = [], 0
        for (name, dtype, width), row in zip(columns, row_sizes, strict=True):
            parts.append(Part(name, dtype, width, start, rows * row, row))
            start += rows * row
        return cls(table, rows, -(-start // 4) * 4, tuple(parts))

    def blocks(self, count: int) -> int:
        """Blocks that hold `count` rows."""
        return -(-count // self.rows)


def rows_per_block(row: int) -> int:
    """Rows of `row` bytes that fill the fewest pages well."""
    for pages in range(1, MOST_PAGES + 1):
        rows = (pages * PAGE - PAGE_HEADER) // row
        if rows * row >= WELL_FILLED * pages * PAGE:
            return rows
    return max(1, (MOST_PAGES * PAGE - PAGE_HEADER) // row)


class Blocks(NamedTuple):
    """Blocks of one table."""

    layout: BlockLayout
    numbers: NDArray[np.int32]
    """(n,) ascending; block b holds the rows from b · layout.rows on."""
    content: NDArray[np.uint8]
    """(n, layout.size)"""

    def records(self) -> Iterator[tuple[bytes, memoryview]]:
        """(key, value) of every block."""
        keys = self.numbers.astype(">u4").tobytes()
        values, size = self.content.reshape(-1).data, self.layout.size
        for n in range(len(self.numbers)):
            yield keys[4 * n : 4 * n + 4], values[n * size : (n + 1) * size]


class IdChunk(NamedTuple):
    """Ids in row order, from row `first` on."""

    axis: Axis
    first: int
    lengths: bytes
    """A byte of length for every id."""
    heap: bytes
    """The ids' UTF-8, one after the other."""

    def record(self) -> tuple[bytes, bytes]:
        """(key, value) of this chunk."""
        head = np.array([len(self.lengths), len(self.heap)], "<u4").tobytes()
        return np.array([self.first], ">u4").tobytes(), padded(head + self.lengths + self.heap)

    @classmethod
    def read(cls, axis: Axis, key: bytes, value: bytes) -> Self:
        """The chunk of a record. ValueError where the lengths do not add up."""
        count, size = (int(n) for n in np.frombuffer(value, "<u4", 2))
        lengths = value[8 : 8 + count]
        heap = value[8 + count : 8 + count + size]
        if len(value) != -(-(8 + count + size) // 4) * 4 or sum(lengths) != size:
            raise ValueError(f"the ids from row {int.from_bytes(key)} on are damaged")
        return cls(axis, int.from_bytes(key), lengths, heap)


def padded(value: bytes) -> bytes:
    """`value` with zeros up to a length divisible by 4."""
    return value + bytes(-len(value) % 4)


class Changes(NamedTuple):
    """Everything that changed between two moments, in bytes that learning does not touch."""

    counts: list[int]
    """Rows in use, by Axis, at the second one."""
    blocks: list[Blocks]
    ids: list[IdChunk]


class Copier:
    """Copies what changed out of a memory, again and again into the same bytes: fresh pages cost more than the copy."""

    def __init__(self, memory: Memory, users: Ids, items: Ids, since: Sequence[int] = NOTHING) -> None:
        self._memory = memory
        self._ids = {Axis.USER: users, Axis.ITEM: items}
        self._since = since
        self._layouts = [BlockLayout.of(table, memory.dimensions) for table in memory.tables]
        self._rooms = [_room(layout) for layout in self._layouts]

    def take(self) -> Changes:
        """What changed since the last call, at first since the counts were `since`; the marks are cleared.

        Only between two batches, and only once the Changes of the call before are committed: the bytes are used again.
        Rows that were added count as changed, whether an event touched them or not.
        """
        memory, since = self._memory, self._since
        counts = [int(n) for n in memory.counts]
        blocks = []
        for layout, room in zip(self._layouts, self._rooms, strict=True):
            axis, name = layout.table.axis, layout.table.name
            numbers = changed_blocks(layout, getattr(memory.marks, name, None), since[axis], counts[axis])
            fits = len(numbers) <= len(room)  # else it is a first commit, or one long overdue
            out = room[: len(numbers)] if fits else np.empty((len(numbers), layout.size), np.uint8)
            copy_blocks(layout, memory.arrays[name], numbers, counts[axis], out)
            blocks.append(Blocks(layout, numbers, out))
        chunks = [chunk for axis, ids in self._ids.items() for chunk in id_chunks(axis, ids, since[axis], counts[axis])]
        memory.clear_marks()
        self._since = counts
        return Changes(counts, blocks, chunks)


def _room(layout: BlockLayout) -> NDArray[np.uint8]:
    """Room for blocks, of which only as much is backed by memory as was ever in use."""
    number = ROOM // layout.size
    return Region.anonymous(number * layout.size).array("u1", (number, layout.size))


def changed_blocks(layout: BlockLayout, mark: Mark | None, since: int, count: int) -> NDArray[np.int32]:
    """Numbers of the blocks that hold a marked or a new row. A table without marks counts as changed, whole."""
    changed = np.zeros(layout.blocks(count), np.bool_)
    if mark is None:
        changed[:] = True
    else:
        changed[mark.rows[: mark.used[0]] // layout.rows] = True
        if count > since:
            changed[since // layout.rows :] = True
    return np.flatnonzero(changed).astype(np.int32)


def copy_blocks(
    layout: BlockLayout, columns: tuple[Array, ...], numbers: NDArray[np.int32], count: int, out: NDArray[np.uint8]
) -> None:
    """out[n] = block numbers[n] of a table of which `count` rows are in use."""
    out[:, sum(part.size for part in layout.parts) :] = 0
    for part, array in zip(layout.parts, columns, strict=True):
        gather(column_bytes(array, count), part.size, numbers, out, part.start)


def column_bytes(array: Array, count: int) -> NDArray[np.uint8]:
    """The bytes of a column's first `count` rows, not copied."""
    return array[:count].reshape(-1).view(np.uint8)


@kernel(types.void(array_type("u1", 1), types.int64, array_type("i4", 1), array_type("u1", 2), types.int64))
def gather(column: Array, size: int, blocks: Array, out: Array, at: int) -> None:
    """out[n, at:at+size] = the blocks[n]-th `size` bytes of the column, zeros past its end."""
    for n in range(len(blocks)):
        start = int(blocks[n]) * size
        source = column[start : start + size]  # a slice ends with the column
        target = out[n, at : at + size]
        for i in range(len(source)):  # over slices from 0 on: what else there is to write keeps LLVM from vectors
            target[i] = source[i]
        for i in range(len(source), size):
            target[i] = 0


def columns_of(layout: BlockLayout, joined: bytes, first: int, count: int) -> Iterator[tuple[Part, NDArray[np.uint8]]]:
    """Each column, (rows, bytes), of the blocks in `joined`, the first of which is `first`, up to row `count`."""
    blocks = np.frombuffer(joined, np.uint8).reshape(-1, layout.size)
    rows = min(count - first * layout.rows, len(blocks) * layout.rows)
    for part in layout.parts:
        column = blocks[:, part.start : part.start + part.size].reshape(len(blocks) * layout.rows, part.row)
        yield part, column[:rows]


def id_chunks(axis: Axis, ids: Ids, since: int, count: int) -> Iterator[IdChunk]:
    """The ids of the rows since..count-1."""
    for first in range(since, count, CHUNK_IDS):
        heap, lengths = ids.export(first, min(first + CHUNK_IDS, count))
        yield IdChunk(axis, first, lengths.tobytes(), heap)
