"""A file of events as a source: CSV or JSONL, plain, .gz or .zst.

Rules of this file:
1. One partition; offset = number of the event, header and blank lines not counted; the topic is called as the file is.
2. Read as a stream. Seeking reads from the beginning, for compressed files know no other way.
3. Values are JSON events whatever the file's form. `decode` rejects a bad row; a bad file is a SourceError.
"""

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from streammf.errors import DataLossError, SourceError
from streammf.events.csv_rows import HEADER, columns_of, encode_row
from streammf.events.lines import Lines
from streammf.events.records import PlainRecords, one_partition
from streammf.events.source import Bounds, Partition, Standing

_COMPRESSIONS: Final = frozenset({".gz", ".zst"})
#: Bytes whose hash is the file's identity: few, so that a file that grows stays the same log once it has so many.
_IDENTITY_BYTES: Final = 4096


class FileSource:
    """Reads one file of events to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_csv = _is_csv(path)
        self._columns = 0
        self._partition = Partition(path.name, 0)
        self.partitions: tuple[Partition, ...] = (self._partition,)
        self._next = 0
        self._pending: list[bytes] = []  # lines read and not yet delivered, from `_used` on
        self._used = 0
        self._exhausted = False
        self._count: int | None = None
        self._lines = self._opened()

    def topic_ids(self) -> dict[str, str]:
        """A hash of the file's first bytes, as they stand on disk."""
        try:
            with self._path.open("rb") as file:
                return {self._partition.topic: hashlib.sha256(file.read(_IDENTITY_BYTES)).hexdigest()}
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read: {error.strerror}") from error

    def bounds(self) -> dict[Partition, Bounds]:
        """All of it; counts the events."""
        return {self._partition: Bounds(0, self.ends()[self._partition])}

    def check(self) -> None:
        """A file that is open stays the file that it is."""

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Start again and skip the events before the position."""
        position = positions.get(self._partition, 0)
        if position < 0:
            raise self._lost(-position, f"starts at 0, position {position} was asked for")
        self._lines.close()
        self._lines = self._opened()
        while self._next < position:
            skipped = min(self._available(), position - self._next)
            if skipped == 0:
                raise self._lost(position - self._next, f"ends at {self._next}, position {position} was asked for")
            self._used += skipped
            self._next += skipped

    def poll(self, most: int, timeout: float) -> PlainRecords | None:
        """Never waits: a file has all its events already."""
        del timeout
        count = min(self._available(), most)
        if count == 0:
            self._exhausted = True
            return None
        lines = self._pending[self._used : self._used + count]
        values = [encode_row(line, self._columns) for line in lines] if self._is_csv else lines
        first = self._next
        self._used += count
        self._next += count
        return one_partition(self._partition, first, values, [-1] * count, [None] * count)

    def positions(self) -> dict[Partition, int]:
        """The next offset."""
        return {self._partition: self._next}

    def ends(self) -> dict[Partition, int]:
        """The number of events. Reads the whole file when asked for the first time."""
        if self._count is None:
            lines = Lines(self._path)
            self._count = sum(map(len, lines)) - int(self._is_csv)
            lines.close()
        return {self._partition: self._count}

    def standing(self) -> Standing:
        """As `ends`."""
        ends = self.ends()
        return Standing(ends, ends, "")

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    @property
    def exhausted(self) -> bool:
        """True once a poll found the end."""
        return self._exhausted

    def progress(self) -> tuple[int, int]:
        """Bytes of the file that were read, and bytes of the file: what a progress bar shows."""
        return self._lines.consumed(), self._lines.size

    def line_of(self, offset: int) -> int:
        """The number, from 1, of the line in which an event stands. Reads the file again, up to there."""
        with closing(Lines(self._path)) as lines:
            return lines.number_of(offset + int(self._is_csv))

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def _lost(self, count: int, why: str) -> DataLossError:
        return DataLossError(f"{count} events are lost: {self._path} {why}")

    def _available(self) -> int:
        """Lines that can be delivered now; 0: the file has ended."""
        if self._used == len(self._pending):
            self._pending = next(self._lines, [])
            self._used = 0
        return len(self._pending) - self._used

    def _opened(self) -> Lines:
        """The file from its beginning, its header read and checked."""
        lines = Lines(self._path)
        self._pending = next(lines, [])
        self._used = 0
        self._next = 0
        self._exhausted = False
        if self._is_csv:
            header = self._pending[0] if self._pending else b""
            columns = columns_of(header)
            if columns is None:
                lines.close()
                shown = header[:80].decode(errors="replace")
                raise SourceError(f"{self._path} must begin with the header {HEADER}, not with {shown!r}")
            self._columns = columns
            self._used = 1
        return lines


def _is_csv(path: Path) -> bool:
    """By the name: .csv or .jsonl, then perhaps .gz or .zst."""
    suffixes = [suffix for suffix in path.suffixes[-2:] if suffix not in _COMPRESSIONS]
    form = suffixes[-1] if suffixes else ""
    if form not in {".csv", ".jsonl"}:
        raise SourceError(f"{path}: a file of events is called *.csv or *.jsonl, perhaps with .gz or .zst after it")
    return form == ".csv"
