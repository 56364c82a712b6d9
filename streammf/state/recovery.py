"""From the store back into memory: what a start does before it learns on.

Rules of this file:
1. What is recovered equals what was committed, byte for byte.
2. Rows are copied a run of blocks at a time: the time follows from the bytes, not from the number of rows.
3. A number that learning never writes is damage: nobody learns on from it, nor answers with it.
"""

from collections.abc import Iterator

import numpy as np

from streammf.errors import StoreError
from streammf.failpoints import reach
from streammf.learning.tables import Array, Axis, in_use
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import Meta, require_layout
from streammf.state.reading import Reading
from streammf.state.records import BlockLayout, IdChunk, column_bytes, columns_of
from streammf.state.store import Store

#: Ids handed to the id table at once.
IDS_AT_ONCE = 100_000


def recover(store: Store, memory: Memory, users: Ids, items: Ids) -> Meta | None:
    """Fill a new memory and its ids from the last commit. None: there was none, and nothing is changed.

    That the configuration asks for the stored model is checked by who makes the memory (meta.require_settings).
    """
    with store.read() as reading:
        meta = reading.meta()
        if meta is None:
            return None
        tables = in_use(memory.tables, meta.widths)  # others keep their first values
        require_layout(meta, tables, memory.dimensions)
        for axis, ids in ((Axis.USER, users), (Axis.ITEM, items)):
            _recover_ids(reading, axis, meta.counts[axis], ids)
            reach("start.ids")
        for axis in Axis:
            memory.reserve(axis, meta.counts[axis])
        for table in tables:
            layout = BlockLayout.of(table, memory.dimensions)
            _recover_rows(reading, layout, meta.counts[table.axis], memory)
            reach("start.rows")
        memory.counts[:] = meta.counts
        memory.vacant = {Axis.USER: set(users.free.tolist()), Axis.ITEM: set(items.free.tolist())}
        memory.clear_marks()
    return meta


def _recover_ids(reading: Reading, axis: Axis, count: int, ids: Ids) -> None:
    for heap, lengths in _together(reading.ids(axis, count)):
        try:
            ids.load(heap, np.frombuffer(lengths, np.uint8))
        except ValueError as error:
            raise StoreError(f"the {axis.name.lower()} ids of the store are damaged: {error}") from error


def _together(chunks: Iterator[IdChunk]) -> Iterator[tuple[bytes, bytes]]:
    """(heap, lengths) of many small chunks at once."""
    held: list[IdChunk] = []
    number = 0
    for chunk in chunks:
        held.append(chunk)
        number += len(chunk.lengths)
        if number >= IDS_AT_ONCE:
            yield b"".join(c.heap for c in held), b"".join(c.lengths for c in held)
            held, number = [], 0
    if held:
        yield b"".join(c.heap for c in held), b"".join(c.lengths for c in held)


def _recover_rows(reading: Reading, layout: BlockLayout, count: int, memory: Memory) -> None:
    columns = [
        column_bytes(array, count).reshape(count, part.row)
        for part, array in zip(layout.parts, memory.arrays[layout.table.name], strict=True)
    ]
    fills = [column.fill for _, column in layout.table.items()]
    for first, joined in reading.blocks(layout, count):
        row = first * layout.rows
        for column, fill, (part, rows) in zip(columns, fills, columns_of(layout, joined, first, count), strict=True):
            copied = column[row : row + len(rows)]
            copied[:] = rows
            if part.dtype.startswith("f"):
                _require_numbers(copied.reshape(-1).view(part.dtype), fill, f"{layout.table.name}.{part.name}", row, part.width)


def _require_numbers(values: Array, fill: float, name: str, first: int, width: int) -> None:
    """StoreError where one is neither finite nor the column's first value. first: the row of the first; width: values a row."""
    finite = np.isfinite(values)
    if finite.all():
        return
    wrong = np.flatnonzero(~finite & (values != fill))
    if len(wrong):
        row = first + int(wrong[0]) // width
        raise StoreError(
            f"the store is damaged: row {row:,} of {name} holds {values[wrong[0]]}, which learning never writes; "
            "restore a snapshot, or replay the log (`streammf doctor` names every fault)"
        )
