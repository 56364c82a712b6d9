"""Rows of the live memory as the store keeps them: in blocks, copied out and in as bytes.

Rules of this file:
1. A block holds its rows column by column and fills whole pages of LMDB well: a record of more than half a page stands
   on pages of its own, and rewriting one row costs no less than rewriting its pages.
2. What lies past the rows in use is zero. So a block's bytes follow from its rows alone.
3. The length of every key and value is divisible by 4.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Self

import lmdb
import numpy as np
from numpy.typing import NDArray

from streammf.learning.tables import Array, Axis, Dimensions, Table
from streammf.state.ids import Ids

#: LMDB's page and the header of a page, bytes.
PAGE: Final = 4096
PAGE_HEADER: Final = 16
#: A block takes the fewest pages of which its rows fill this part. Blocks of one page need no run of free pages.
WELL_FILLED: Final = 0.75
MOST_PAGES: Final = 8

#: Ids of one record: a record takes a run of free pages, which an old store finds the harder the longer it is.
CHUNK_IDS: Final = 4096


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


class IdChunk(NamedTuple):
    """Ids in row order, from row `first` on."""

    axis: Axis
    first: int
    lengths: bytes
    """A byte of length for every id; 0: the row has none."""
    heap: bytes
    """The ids' UTF-8, one after the other."""

    @classmethod
    def of(cls, axis: Axis, first: int, names: Sequence[bytes]) -> Self:
        """The chunk of these ids."""
        return cls(axis, first, bytes(map(len, names)), b"".join(names))

    def names(self) -> list[bytes]:
        """The ids; empty where a row has none."""
        return split(self.heap, self.lengths)

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


def split(heap: bytes, lengths: Iterable[int]) -> list[bytes]:
    """The parts of these lengths."""
    names, at = [], 0
    for length in map(int, lengths):  # numpy would add up bytes in a byte
        names.append(heap[at : at + length])
        at += length
    return names


def chunk_at(cursor: "lmdb.Cursor[bytes]", axis: Axis, row: int) -> IdChunk:
    """The stored chunk that holds the id of a row. ValueError where there is none."""
    key = np.array([row], ">u4").tobytes()
    there = cursor.set_range(key)
    if not (there and cursor.key() == key):
        there = cursor.prev() if there else cursor.last()
    if not there:
        raise ValueError(f"the ids before row {row} are missing")
    return IdChunk.read(axis, cursor.key(), cursor.value())


def nameless(chunk: IdChunk, vacant: Collection[int]) -> IdChunk:
    """A chunk without the ids of some rows."""
    names = chunk.names()
    return IdChunk.of(chunk.axis, chunk.first, [b"" if chunk.first + n in vacant else name for n, name in enumerate(names)])


def padded(value: bytes) -> bytes:
    """`value` with zeros up to a length divisible by 4."""
    return value + bytes(-len(value) % 4)


def column_bytes(array: Array, count: int) -> NDArray[np.uint8]:
    """The bytes of a column's first `count` rows, not copied."""
    return array[:count].reshape(-1).view(np.uint8)


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
