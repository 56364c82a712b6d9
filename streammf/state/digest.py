"""One number for all that was learned: equal for two models exactly when they hold the same.

Rules of this file:
1. It covers the rows in use column by column, the ids in row order, the positions and the quarantine. It does not cover
   commit numbers, the owner epoch, the identity of the log, or how the store is cut into blocks and chunks.
2. A store, a snapshot and the memory that they were written from have the same digest.
3. `items` and `users` cover the rows and ids of one side alone: items are replicated among trainers, users are not.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from streammf.errors import StoreError
from streammf.events.event import Rejected
from streammf.learning.tables import TABLES, Axis, Table, in_use
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import Position, require_layout
from streammf.state.reading import Reading
from streammf.state.records import BlockLayout, IdChunk, Part, column_bytes, columns_of, id_chunks
from streammf.state.store import Store

Side = Literal["all", "items", "users"]
AXES: Final[dict[str, tuple[Axis, ...]]] = {
    "all": tuple(Axis),
    "items": (Axis.ITEM,),
    "users": (Axis.USER, Axis.SEEN),
}
"""Which axes each side has."""


def digest(store: Store, side: Side = "all", tables: Sequence[Table] = TABLES) -> str:
    """SHA-256, hexadecimal, of the last commit."""
    with store.read() as reading:
        meta = reading.meta()
        if meta is None:
            raise StoreError(f"{store.path} holds no model yet")
        dimensions = meta.widths
        tables = in_use(tables, dimensions)
        require_layout(meta, tables, dimensions)
        lines: list[str] = []
        for table in _of(side, tables):
            lines += _stored_table(reading, BlockLayout.of(table, dimensions), meta.counts[table.axis])
        for axis in _with_ids(side):
            lines.append(_ids(axis, reading.ids(axis, meta.counts[axis])))
        if side == "all":
            lines += [_positions(meta.positions), _quarantine(meta.rejected, reading.quarantined())]
    return _sha("\n".join(lines).encode())


def digest_of(
    memory: Memory,
    users: Ids,
    items: Ids,
    *,
    positions: Sequence[Position] = (),
    rejected: int = 0,
    quarantined: Iterable[tuple[int, Rejected]] = (),
    side: Side = "all",
) -> str:
    """The same number, from memory."""
    counts = [int(n) for n in memory.counts]
    lines = []
    for table in _of(side, memory.tables):
        count = counts[table.axis]
        layout = BlockLayout.of(table, memory.dimensions)
        for part, array in zip(layout.parts, memory.arrays[table.name], strict=True):
            lines.append(_line(layout, part, count, _sha(column_bytes(array, count).data)))
    for axis in _with_ids(side):
        ids = users if axis == Axis.USER else items
        lines.append(_ids(axis, id_chunks(axis, ids, 0, counts[axis])))
    if side == "all":
        lines += [_positions(positions), _quarantine(rejected, quarantined)]
    return _sha("\n".join(lines).encode())


def _of(side: Side, tables: Sequence[Table]) -> Iterator[Table]:
    return (table for table in tables if table.axis in AXES[side])


def _with_ids(side: Side) -> list[Axis]:
    return [axis for axis in (Axis.USER, Axis.ITEM) if axis in AXES[side]]


def _stored_table(reading: Reading, layout: BlockLayout, count: int) -> list[str]:
    """A line for every column. All columns of a run of blocks are hashed before the next run is read."""
    hashes = [hashlib.sha256() for _ in layout.parts]
    for first, joined in reading.blocks(layout, count):
        for column, (_, rows) in zip(hashes, columns_of(layout, joined, first, count), strict=True):
            column.update(rows.data)
    return [_line(layout, part, count, h.hexdigest()) for part, h in zip(layout.parts, hashes, strict=True)]


def _line(layout: BlockLayout, part: Part, count: int, value: str) -> str:
    return f"{layout.table.name}.{part.name} {part.dtype} x {part.width}, {count} rows: {value}"


def _ids(axis: Axis, chunks: Iterable[IdChunk]) -> str:
    lengths, heap, number = hashlib.sha256(), hashlib.sha256(), 0
    for chunk in chunks:
        lengths.update(chunk.lengths)
        heap.update(chunk.heap)
        number += len(chunk.lengths)
    return f"ids of {axis.name.lower()}, {number}: {lengths.hexdigest()} {heap.hexdigest()}"


def _positions(positions: Sequence[Position]) -> str:
    return f"positions: {_sha(msgspec.json.encode([[p.topic, p.partition, p.next] for p in positions]))}"


def _quarantine(rejected: int, quarantined: Iterable[tuple[int, Rejected]]) -> str:
    records = hashlib.sha256()
    for number, record in quarantined:
        records.update(msgspec.json.encode([number, record]) + b"\n")
    return f"quarantine of {rejected}: {records.hexdigest()}"


def _sha(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
