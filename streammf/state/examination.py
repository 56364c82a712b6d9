"""What is wrong with a store, found by reading all of it: structure, meta record, rows, ids, positions, quarantine.

Rules of this file:
1. It only reads, at one commit, beside a trainer that goes on; the pages of that commit are held back as long as it takes.
2. It finds as much as it can: one fault does not hide the next. Each is said with the place where it stands.
3. Whatever a damaged file does to the process that maps it, it does to a process of its own: see `examined`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from signal import Signals
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.errors import StreamMFError
from streammf.events.event import MOST_TIME
from streammf.learning import compiling
from streammf.learning.tables import TABLES, Array, Axis, Column, Dimensions, Table, in_use
from streammf.state import datafile
from streammf.state.filesystem import TMPFS, kind
from streammf.state.ids import Ids
from streammf.state.meta import NO_LOG, Meta, Position, require_layout
from streammf.state.options import MOST_ROWS, SETTINGS
from streammf.state.reading import Reading
from streammf.state.records import BlockLayout, columns_of
from streammf.state.store import Store

#: Faults of one kind that are said one by one.
MOST_SAID: Final = 5
#: Seconds between two words on how far it is.
_SAID_EVERY: Final = 0.2

Tell = Callable[[str, float], None]
"""What is being looked at, and which part of all is done."""


class Report(msgspec.Struct, kw_only=True):
    """What was found."""

    path: str
    problems: list[str] = []
    remarks: list[str] = []
    """What is no damage, and worth knowing."""
    store: str = ""
    """Its identity."""
    commit: int = 0
    events: int = 0
    counts: dict[str, int] = {}
    positions: list[Position] = []
    bytes: int = 0
    seconds: float = 0.0


def examine(path: Path, tell: Tell, *, allow_network: bool = False) -> Report:
    """Read all of a store or a snapshot. May be killed by a file that is cut meanwhile: `examined` may not."""
    began = time.monotonic()
    report = Report(path=str(path))
    try:
        report.bytes = (path / datafile.NAME).stat().st_size if (path / datafile.NAME).exists() else 0
        with Store.open_readonly(path, allow_network=allow_network) as store:
            if kind(path) == TMPFS:
                report.remarks.append("it is on a file system in memory, which the next restart of this machine empties")
            if (oldest := store.oldest_reader()) and oldest.behind:
                report.remarks.append(f"process {oldest.pid} reads a commit that is {oldest.behind:,} transactions old")
            with store.read() as reading:
                tell("structure", 0.0)
                report.problems += _some(datafile.problems(path / datafile.NAME), "fault(s) of the file's structure")
                _examine_commit(reading, report, tell)
    except StreamMFError as error:
        report.problems.append(str(error))
    report.seconds = round(time.monotonic() - began, 3)
    return report


def _examine_commit(reading: Reading, report: Report, tell: Tell) -> None:
    meta = reading.meta()
    report.store = reading.identity()
    if meta is None:
        report.remarks.append("it holds no model yet")
        return
    report.commit, report.events, report.positions = meta.commit, meta.events, meta.positions
    vacant = [*meta.vacant, *([0] * len(Axis))]
    report.counts = {axis.name.lower(): count - less for axis, count, less in zip(Axis, meta.counts, vacant, strict=False)}
    report.problems += _of_meta(meta)
    try:
        dimensions = Dimensions(**meta.dimensions)
        tables = in_use(TABLES, dimensions)
        require_layout(meta, tables, dimensions)
    except (TypeError, StreamMFError) as error:
        report.problems.append(f"rows were not read: {error}")
        return
    sizes = {table.name: BlockLayout.of(table, dimensions).blocks(meta.counts[table.axis]) for table in tables}
    done, whole = 0, sum(sizes.values()) + 1
    for table in tables:
        layout = BlockLayout.of(table, dimensions)
        said = f"rows of {table.name}"

        def tell_block(block: int, said: str = said, before: int = done) -> None:
            tell(said, 0.1 + 0.7 * (before + block) / whole)

        report.problems += _some(_of_rows(reading, layout, meta, tell_block), f"fault(s) in the rows of {table.name}")
        done += sizes[table.name]
    for axis in (Axis.USER, Axis.ITEM):
        tell(f"ids of {axis.name.lower()}s", 0.8 + 0.1 * axis)
        report.problems += _of_ids(reading, axis, meta)
    report.problems += _some(_of_quarantine(reading, meta), "fault(s) in the quarantine")
    tell("done", 1.0)


def _of_meta(meta: Meta) -> Iterator[str]:
    """Counts and positions that cannot be."""
    if len(meta.counts) != len(Axis) or min(meta.counts) < 0 or max(meta.counts) > MOST_ROWS:
        yield f"the counts are {meta.counts}"
    elif meta.counts[Axis.PARTITION] != len(meta.positions):
        yield f"there are {meta.counts[Axis.PARTITION]:,} rows of partitions and {len(meta.positions):,} positions"
    places = [(position.topic, position.partition) for position in meta.positions]
    for topic, number in {place for place in places if places.count(place) > 1}:
        yield f"there is more than one position of {topic}/{number}"
    for position in meta.positions:
        if position.next < 0 or position.partition < 0:
            yield f"the position of {position.topic}/{position.partition} is {position.next}"
    of_logs = [p for p in meta.positions if p.topic_id != NO_LOG]
    read = sum(position.next for position in of_logs)
    if meta.events < 0 or (len(of_logs) == len(meta.positions) and meta.events > read):
        yield f"{meta.events:,} events were learned from logs that were read up to {read:,} offsets in all"


def _of_rows(reading: Reading, layout: BlockLayout, meta: Meta, at_block: Callable[[int], None]) -> Iterator[str]:
    """Blocks that are missing, and numbers that cannot be."""
    table, count = layout.table, meta.counts[layout.table.axis]
    declared = dict(table.items())
    stored = reading.number_of_blocks(table)
    if stored != layout.blocks(count):
        yield f"the table {table.name} has {stored:,} blocks, {count:,} rows want {layout.blocks(count):,}"
    try:
        for first, joined in reading.blocks(layout, count):
            at_block(first)
            for part, rows in columns_of(layout, joined, first, count):
                values = np.ascontiguousarray(rows).view(part.dtype)
                wrong = _wrong(values, table, part.name, declared[part.name], meta)
                for row in np.flatnonzero(wrong.any(axis=1)):
                    value = values[row][wrong[row]][0]
                    yield f"row {first * layout.rows + int(row):,} of {table.name}.{part.name} holds {value}"
    except StreamMFError as error:
        yield str(error)


def _wrong(values: Array, table: Table, name: str, column: Column, meta: Meta) -> NDArray[np.bool_]:
    """(rows, width) which numbers cannot be: not finite, other than a first value that is not; or rows that are not there."""
    if values.dtype.kind == "f":
        fine = np.isfinite(values)
        if not np.isfinite(column.fill):
            fine |= values == column.fill
        return np.asarray(~fine)
    if column.refers is not None:
        return np.asarray((values < -1) | (values >= meta.counts[column.refers]))
    if values.dtype == np.int64 and name.endswith(("time", "clock")):
        return np.asarray(((values < 0) & (values != column.fill)) | (values > MOST_TIME))
    return np.asarray(values < column.least) if values.dtype.kind == "i" else np.zeros(values.shape, np.bool_)


def _of_ids(reading: Reading, axis: Axis, meta: Meta) -> Iterator[str]:
    """Whether each row that is not vacant has an id, and each id leads back to its row."""
    count = meta.counts[axis]
    ids = Ids.anonymous(meta.seed, max(count, 1), SETTINGS[axis])
    try:
        for chunk in reading.ids(axis, count):
            first = ids.count
            ids.load(chunk.heap, np.frombuffer(chunk.lengths, np.uint8))
            rows = (first + np.flatnonzero(np.frombuffer(chunk.lengths, np.uint8))).astype(np.int32)
            if (back := ids.rows(ids.names(rows))).tolist() != rows.tolist():
                row = int(np.flatnonzero(back != rows)[0])
                yield f"the id of {axis.name.lower()} row {rows[row]:,} leads to row {back[row]:,}"
                return
        if len(ids.free) != meta.vacant[axis]:
            yield f"{len(ids.free):,} {axis.name.lower()} rows have no id, and {meta.vacant[axis]:,} are counted as vacant"
    except (StreamMFError, ValueError) as error:
        yield f"the {axis.name.lower()} ids: {error}"
    finally:
        ids.close()


def _of_quarantine(reading: Reading, meta: Meta) -> Iterator[str]:
    """Gaps in the numbers, and records that cannot be read."""
    following = None
    try:
        for number, _ in reading.quarantined():
            if following is not None and number < following:
                yield f"rejected record {number:,} is out of order"
            following = number + 1
    except msgspec.MsgspecError as error:
        yield f"the rejected record after number {following or 0:,} cannot be read: {error}"
    if following is not None and following > meta.rejected:
        yield f"there is a rejected record {following - 1:,}, and {meta.rejected:,} were counted"


def _some(problems: Iterable[str], what: str) -> Iterator[str]:
    """The first ones, and that there are more."""
    problems = iter(problems)
    yield from islice(problems, MOST_SAID)
    if more := sum(1 for _ in problems):
        yield f"and {more:,} more {what}"


def examined(path: Path, tell: Tell, *, allow_network: bool = False) -> Report:
    """The same, in a process of its own: a file that kills who maps it is a problem of the report like any other."""
    command = [sys.executable, "-m", "streammf.state.examination", str(path), *(["--allow-network"] if allow_network else [])]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("{"):
                return msgspec.json.decode(line, type=Report)
            last, part = json.loads(line)
            tell(last, part)
        code = process.wait()
    died = f"was killed by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    cause = "it ends before pages that it names, was cut meanwhile, or its pages are damaged"
    return Report(
        path=str(path), problems=[f"the process that read {path} {died} while it looked at {last or 'the file'}: {cause}"]
    )


def main() -> None:
    """For `examined`: a line of JSON now and then, and the report."""
    due = 0.0

    def tell(what: str, part: float) -> None:
        nonlocal due
        if time.monotonic() >= due or part in {0.0, 1.0}:
            due = time.monotonic() + _SAID_EVERY
            print(json.dumps([what, part]), flush=True)  # noqa: T201 - `examined` reads it

    compiling.ready()
    report = examine(Path(sys.argv[1]), tell, allow_network="--allow-network" in sys.argv)
    print(msgspec.json.encode(report).decode(), flush=True)  # noqa: T201 - `examined` reads it


if __name__ == "__main__":
    main()
