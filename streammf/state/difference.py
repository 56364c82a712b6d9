"""How two stores or snapshots differ: positions, counts, and how far the numbers moved.

Rules of this file:
1. Rows are compared where both have the same id at the same row: row numbers mean nothing outside a store.
2. A movement is the length of the difference of two rows of a column, in float64; what it is relative to is said beside it.
3. One run of blocks of each is in memory at a time, whatever the stores hold.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.errors import StoreError
from streammf.learning.tables import TABLES, Axis, Dimensions, in_use
from streammf.state.meta import Meta
from streammf.state.reading import Reading
from streammf.state.records import BlockLayout, Part, columns_of
from streammf.state.store import Store

Bools = NDArray[np.bool_]


class Moved(msgspec.Struct, frozen=True):
    """One column."""

    table: str
    column: str
    rows: int
    """Rows that were compared."""
    changed: int
    """Of those, rows that differ."""
    mean: float | None = None
    """Length of the movement, mean over all rows that were compared; None: the column holds counts or row numbers."""
    most: float | None = None
    """The longest."""
    length: float | None = None
    """Mean length of the first store's rows."""


class Difference(msgspec.Struct, frozen=True):
    """From a first store to a second one."""

    events: tuple[int, int]
    rejected: tuple[int, int]
    positions: list[tuple[str, int, int | None, int | None]]
    """(topic, partition, first, second) of every partition that either knows."""
    other_logs: list[str]
    """Topics that are not the same log in both."""
    counts: dict[str, tuple[int, int]]
    """Rows in use, by axis."""
    other_ids: dict[str, int]
    """Rows that both have and that belong to different ids; they are not compared."""
    settings: list[str]
    """Learning options that differ."""
    columns: list[Moved]
    """Of the columns that both have with the same width."""


def difference(first: Store, second: Store) -> Difference:
    """What moved between them. StoreError where one holds no model, or is damaged."""
    with first.read() as one, second.read() as two:
        metas = [_meta(one, first), _meta(two, second)]
        same = {axis: _same_ids(one, two, axis, metas) for axis in (Axis.USER, Axis.ITEM)}
        moved = list(_moved(one, two, metas, same))
    before, after = metas
    places = sorted({(p.topic, p.partition) for p in (*before.positions, *after.positions)})
    at = [{(p.topic, p.partition): p.next for p in meta.positions} for meta in metas]
    topics = [{p.topic: p.topic_id for p in meta.positions} for meta in metas]
    options = before.options.keys() | after.options.keys()
    return Difference(
        events=(before.events, after.events),
        rejected=(before.rejected, after.rejected),
        positions=[(*place, at[0].get(place), at[1].get(place)) for place in places],
        other_logs=sorted(t for t in topics[0].keys() & topics[1].keys() if topics[0][t] != topics[1][t]),
        counts={axis.name.lower(): (before.counts[axis], after.counts[axis]) for axis in Axis},
        other_ids={axis.name.lower(): int((~rows).sum()) for axis, rows in same.items()},
        settings=sorted(name for name in options if before.options.get(name) != after.options.get(name)),
        columns=moved,
    )


def _meta(reading: Reading, store: Store) -> Meta:
    meta = reading.meta()
    if meta is None:
        raise StoreError(f"{store.path} holds no model yet")
    return meta


def _same_ids(one: Reading, two: Reading, axis: Axis, metas: list[Meta]) -> Bools:
    """(rows that both have,) whether they belong to the same id."""
    number = min(meta.counts[axis] for meta in metas)
    (ids, lengths), (others, other_lengths) = (
        _all_ids(reading, axis, meta.counts[axis], number) for reading, meta in zip((one, two), metas, strict=True)
    )
    if lengths == other_lengths and ids == others:
        return np.ones(number, np.bool_)
    pairs = zip(_cut(ids, lengths), _cut(others, other_lengths), strict=True)
    return np.fromiter((a == b for a, b in pairs), np.bool_, number)


def _all_ids(reading: Reading, axis: Axis, count: int, first: int) -> tuple[bytes, bytes]:
    """(heap, lengths) of the first ids."""
    chunks = list(reading.ids(axis, count))
    lengths = b"".join(chunk.lengths for chunk in chunks)[:first]
    return b"".join(chunk.heap for chunk in chunks)[: sum(lengths)], lengths


def _cut(heap: bytes, lengths: bytes) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield heap[at : at + length]
        at += length


def _moved(one: Reading, two: Reading, metas: list[Meta], same: dict[Axis, Bools]) -> Iterator[Moved]:
    dimensions = [Dimensions(**meta.dimensions) for meta in metas]
    for table in in_use(in_use(TABLES, dimensions[0]), dimensions[1]):
        layouts = [BlockLayout.of(table, of) for of in dimensions]
        counts = [meta.counts[table.axis] for meta in metas]
        if layouts[0] != layouts[1] or metas[0].layout != metas[1].layout:
            continue  # other widths or columns: nothing to compare row by row
        rows = min(counts)
        sums = [_Sum(table.name, part) for part in layouts[0].parts]
        runs = zip(one.blocks(layouts[0], counts[0]), two.blocks(layouts[1], counts[1]), strict=False)
        for (first, a), (_, b) in runs:
            start = first * layouts[0].rows
            if start >= rows:
                break
            whole = min(len(a), len(b))
            pairs = zip(
                columns_of(layouts[0], a[:whole], first, rows), columns_of(layouts[1], b[:whole], first, rows), strict=True
            )
            for total, ((_, before), (_, after)) in zip(sums, pairs, strict=True):
                which = same[table.axis][start : start + len(before)] if table.axis in same else slice(None)
                total.add(before[which], after[which])
        yield from (total.moved() for total in sums)


class _Sum:
    """What was found of one column so far."""

    def __init__(self, table: str, part: Part) -> None:
        self._table = table
        self._part = part
        self._is_vector = np.dtype(part.dtype).kind == "f"
        self._rows = self._changed = 0
        self._moved = self._most = self._length = 0.0

    def add(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
        """Rows of both, as bytes."""
        changed = (before != after).any(axis=1)
        self._rows += len(before)
        self._changed += int(changed.sum())
        if not self._is_vector:
            return
        old, new = (np.ascontiguousarray(rows).view(self._part.dtype).astype(np.float64) for rows in (before, after))
        with np.errstate(invalid="ignore", over="ignore"):  # -inf - -inf, or 1e300², where nothing has come to stand yet
            moved = np.linalg.norm(np.where(old == new, 0.0, new - old), axis=1)
            length = np.linalg.norm(np.where(np.isfinite(old), old, 0.0), axis=1)
        self._moved += float(moved.sum())
        self._most = max(self._most, float(moved.max(initial=0.0)))
        self._length += float(length.sum())

    def moved(self) -> Moved:
        """All of it."""
        found = Moved(self._table, self._part.name, self._rows, self._changed)
        if not self._is_vector:
            return found
        rows = max(self._rows, 1)
        mean, length = self._moved / rows, self._length / rows
        return msgspec.structs.replace(found, mean=mean, most=self._most, length=length)
