"""The tables in memory: the arrays that the trainer learns in and that the query workers read.

Rules of this file:
1. It knows no table and no column: layout, growth and first values follow from the declarations in `tables`.
2. A table is one region, a column a segment of it for the whole capacity, beginning where a huge page can. Arrays are made
   once, as long as the capacity; only rows that were reserved may be touched, and only rows below `counts` mean anything.
3. A reserved row holds its constant first values already, and so does a forgotten one; `add_rows` gives those that depend on
   the id, and counts it.
4. `vacant` are rows that count and stand for nothing: forgotten, and not given again yet.
5. Marks are the writer's own: private memory, never in a file. `counts` of a reader is in the header, not here.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np

from streammf.errors import MemoryFullError, NoModelError
from streammf.failpoints import reach
from streammf.learning.arguments import Mark, Marks
from streammf.learning.draws import fill_normal
from streammf.learning.forgetting import mark_rows
from streammf.learning.tables import TABLES, Array, Axis, Column, Dimensions, State, Table, in_use, row_bytes
from streammf.state.options import DEFAULT_LIMITS, SETTINGS, Limits
from streammf.state.region import AHEAD, HUGE, Region, not_writable, pages

#: Rows are backed ahead: as many as there are, at least these, and at most AHEAD bytes of the widest table.
LEAST_ROWS: Final = 256
LAYOUT: Final = "layout.json"
NO_ROWS: Final = np.zeros(0, np.int32)


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader must know, and agree with, to read a folder."""

    tables: str
    dimensions: Dimensions
    seed: int
    limits: Limits


class Memory:
    """All tables of one model. Made by `anonymous`, `create` (files, writable) or `attach` (files, read-only)."""

    def __init__(self, layout: Layout, tables: Sequence[Table], regions: dict[str, Region], *, writer: bool) -> None:
        self.dimensions, self.seed, self.limits = layout.dimensions, layout.seed, layout.limits
        self.tables = in_use(tables, layout.dimensions)
        """Those that have rows."""
        self.counts: Array = np.zeros(len(Axis), np.int64)
        self.vacant: dict[Axis, set[int]] = {Axis.USER: set(), Axis.ITEM: set()}
        self.renamed: dict[Axis, set[int]] = {Axis.USER: set(), Axis.ITEM: set()}
        """Rows that got another id, or none, since the marks were cleared."""
        self._regions = regions
        self._reserved = [0] * len(Axis)
        self.arrays: dict[str, Any] = {table.name: self._columns(table) for table in self.tables}
        self.arrays |= {
            table.name: nothing(table, self.dimensions, writer) for table in tables if table.name not in self.arrays
        }
        self._marked: list[Mark] = []
        if writer:
            self.marks = self._marks()
            for axis in (Axis.RECENT, Axis.MODEL, Axis.ATTRIBUTE):
                self.add_rows(axis, np.zeros(self.most_rows(axis), np.uint64))

    @classmethod
    def anonymous(
        cls, dimensions: Dimensions, seed: int, tables: Sequence[Table] = TABLES, limits: Limits = DEFAULT_LIMITS
    ) -> Self:
        """In private memory: a model without readers in other processes."""
        layout = Layout(fingerprint(tables), dimensions, seed, limits)
        regions = {table.name: Region.anonymous(capacity(table, layout)) for table in in_use(tables, dimensions)}
        return cls(layout, tables, regions, writer=True)

    @classmethod
    def create(
        cls,
        folder: Path,
        dimensions: Dimensions,
        seed: int,
        tables: Sequence[Table] = TABLES,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Self:
        """In new files of `folder`, which exists."""
        layout = Layout(fingerprint(tables), dimensions, seed, limits)
        regions = {t.name: Region.create(_path(folder, t), capacity(t, layout)) for t in in_use(tables, dimensions)}
        memory = cls(layout, tables, regions, writer=True)
        try:
            (folder / LAYOUT).write_bytes(msgspec.json.encode(layout))
        except OSError as error:
            raise not_writable(folder, error) from error
        return memory

    @classmethod
    def attach(cls, folder: Path, tables: Sequence[Table] = TABLES) -> Self:
        """Read-only. OSError where the folder is gone, NoModelError where it was made by another StreamMF."""
        try:
            layout = msgspec.json.decode((folder / LAYOUT).read_bytes(), type=Layout)
        except msgspec.MsgspecError as error:
            raise NoModelError(f"the live memory in {folder} cannot be read ({error}): use one version of StreamMF") from error
        if layout.tables != fingerprint(tables):
            raise NoModelError(f"the live memory in {folder} has other tables: use one version of StreamMF for all processes")
        regions = {t.name: Region.attach(_path(folder, t)) for t in in_use(tables, layout.dimensions)}
        return cls(layout, tables, regions, writer=False)

    @property
    def state(self) -> State:
        """The tables as kernels take them: writable for the writer, read-only otherwise."""
        return State(**{name: self.arrays[name] for name in State._fields})

    def most_rows(self, axis: Axis) -> int:
        """The most rows this memory can hold on an axis."""
        return self.limits.rows(axis, self.dimensions)

    def reserve(self, axis: Axis, rows: int) -> None:
        """Make room for at least `rows` rows, with their constant first values. MemoryFullError where there is none.

        One thread an axis: of users and items whoever prepares batches, of everything else whoever learns.
        """
        reserved = self._reserved[axis]
        if rows <= reserved:
            return
        most = self.most_rows(axis)
        if rows > most:
            limit = f"{SETTINGS[axis]} = {most:,} allows: raise it" if axis in SETTINGS else f"the {most:,} possible"
            raise MemoryFullError(f"{rows:,} rows ({axis.name.lower()}) are more than {limit}")
        tables = [table for table in self.tables if table.axis == axis]
        ahead = self._ahead(tables, reserved, rows, most)
        try:
            self._back(tables, reserved, ahead)
        except MemoryFullError:
            if ahead == rows:
                raise
            ahead = rows
            self._back(tables, reserved, ahead)
        reach("memory.backed")
        for table in tables:
            for column, array in zip(columns(table), self.arrays[table.name], strict=True):
                if column.fill != 0 and column.scale == 0:
                    array[reserved:ahead] = column.fill
        self._reserved[axis] = ahead

    def add_rows(self, axis: Axis, keys: Array, again: Array = NO_ROWS) -> None:
        """Count len(keys) more rows; first values follow from `keys`: uint64, hashes of their ids, 0 without ids.

        again: vacant rows, int32, that stand for the first of these ids; the others get rows after the last.
        """
        first, more = int(self.counts[axis]), len(keys) - len(again)
        self.reserve(axis, first + more)
        for table in self.tables:
            if table.axis != axis:
                continue
            for (name, column), array in zip(table.items(), self.arrays[table.name], strict=True):
                if column.scale != 0:
                    rows, of = _two_dimensional(array), salt(table.name, name)
                    for n, row in enumerate(again.tolist()):
                        fill_normal(rows, row, keys[n : n + 1], of, column.scale)
                    fill_normal(rows, first, keys[len(again) :], of, column.scale)
            mark_rows(getattr(self.marks, table.name, None), again)
        self.counts[axis] = first + more
        if len(again):
            self.vacant[axis].difference_update(again.tolist())
            self.renamed[axis].update(again.tolist())

    @property
    def vacancies(self) -> tuple[int, int]:
        """How many rows are vacant: of users, of items."""
        return len(self.vacant[Axis.USER]), len(self.vacant[Axis.ITEM])

    def vacate(self, axis: Axis, rows: Array) -> None:
        """These rows were forgotten."""
        self.vacant[axis].update(rows.tolist())
        self.renamed[axis].update(rows.tolist())

    def clear_marks(self) -> None:
        """Forget which rows changed. Costs as much as there are changed rows."""
        for rows in self.renamed.values():
            rows.clear()
        for mark in self._marked:
            changed = mark.rows[: mark.used[0]]
            mark.moved[changed] = 0
            mark.used[0] = 0

    def close(self) -> None:
        """Let go of the files. Arrays taken before stay good."""
        for region in self._regions.values():
            region.close()

    def _columns(self, table: Table) -> tuple[Any, ...]:
        """The arrays of a table's columns, as an instance of its class."""
        rows = self.most_rows(table.axis)
        region = self._regions[table.name]
        return table.columns(*(
            region.array(column.dtype, column.shape(rows, self.dimensions), offset)
            for column, offset in zip(columns(table), offsets(table, rows, self.dimensions), strict=False)
        ))  # fmt: skip

    def _ahead(self, tables: Sequence[Table], reserved: int, rows: int, most: int) -> int:
        """How many rows to back when `rows` are needed: some more, so that this is seldom asked, if there is room."""
        sizes = [row_bytes(table, self.dimensions) for table in tables]
        step = AHEAD // max(sizes, default=1)
        ahead = min(max(rows, reserved + min(max(reserved, LEAST_ROWS), step)), most)
        room = min((self._regions[table.name].room() for table in tables), default=0)
        return ahead if (ahead - reserved) * sum(sizes) < room else rows

    def _back(self, tables: Sequence[Table], reserved: int, rows: int) -> None:
        """Back rows reserved..rows-1 of every column of these tables."""
        for table in tables:
            starts = offsets(table, self.most_rows(table.axis), self.dimensions)
            for column, start in zip(columns(table), starts, strict=False):
                width = value_bytes(column, self.dimensions)
                self._regions[table.name].reserve(start + reserved * width, start + rows * width)

    def _marks(self) -> Marks:
        """Private memory, as long as the tables: addresses only, until rows are marked."""
        axes = {table.name: table.axis for table in self.tables}
        for name in Marks._fields:
            rows = self.most_rows(axes[name]) if name in axes else 0
            region = Region.anonymous(2 * pages(4 * rows))
            moved, changed = region.array("f4", (rows,)), region.array("i4", (rows,), pages(4 * rows))
            self._marked.append(Mark(moved, changed, np.zeros(1, np.int64)))
        return Marks(*self._marked)


def columns(table: Table) -> list[Column]:
    """The declarations of a table's columns, in order."""
    return [column for _, column in table.items()]


def nothing(table: Table, dimensions: Dimensions, writer: bool) -> tuple[Any, ...]:
    """The columns of a table that has no rows."""
    found = [np.zeros(column.shape(0, dimensions), column.dtype) for column in columns(table)]
    for array in found:
        array.flags.writeable = writer
    return table.columns(*found)


def value_bytes(column: Column, dimensions: Dimensions) -> int:
    """Bytes of one row of a column."""
    return np.dtype(column.dtype).itemsize * dimensions.of(column.width)


def offsets(table: Table, rows: int, dimensions: Dimensions) -> list[int]:
    """Where each column's segment begins, in bytes; last, the size of the whole."""
    at = [0]
    for column in columns(table):
        at.append(at[-1] + pages(rows * value_bytes(column, dimensions), HUGE))
    return at


def capacity(table: Table, layout: Layout) -> int:
    """Bytes of address that a table takes."""
    return offsets(table, layout.limits.rows(table.axis, layout.dimensions), layout.dimensions)[-1]


def fingerprint(tables: Sequence[Table]) -> str:
    """Changes whenever the same bytes would mean something else."""
    declared = [(t.name, t.axis, [(name, c.dtype, c.width) for name, c in t.items()]) for t in tables]
    return hashlib.sha256(msgspec.json.encode([declared, HUGE])).hexdigest()[:32]


def salt(table: str, column: str) -> int:
    """What sets a column's first values apart from those of other columns of the same row, wherever it stands."""
    return int.from_bytes(hashlib.sha256(f"{table}.{column}".encode()).digest()[:8], "little")


def _path(folder: Path, table: Table) -> Path:
    return folder / f"{table.name}.rows"


def _two_dimensional(array: Array) -> Array:
    return array if array.ndim == 2 else array[:, np.newaxis]
