"""The embedded log: a source and a sink without a broker.

Rules of this file:
1. One partition; offset = record number; the topic is called as the folder is.
2. A reader delivers durable records only, so no crash can take back what was learned from.
3. Appending is collecting: records reach the file, all or none, in `flush` or when enough were collected. What several
   processes append interleaves by whole flushes.
4. Nothing here deletes a segment. Who deletes old ones moves the log's start; a position before it is data loss.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from streammf.errors import DataLossError, SourceError
from streammf.events.log_folder import CHUNK_BYTES, LogFolder
from streammf.events.reading import ReadingOptions
from streammf.events.records import PlainRecords, one_partition
from streammf.events.segment import MOST_RECORD_BYTES, Scanned, pack, scan
from streammf.events.source import Bounds, Partition, Standing

DEFAULT_SEGMENT_MIB: Final = 64
#: A sink that collected so many bytes flushes by itself.
_MOST_COLLECTED: Final = 1 << 20
#: Seconds between two looks at the log's end: short at first, then longer, so that waiting costs about 1 % of a core.
_SHORTEST_PAUSE: Final = 0.00025
_LONGEST_PAUSE: Final = 0.004


class LogOptions(ReadingOptions, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the embedded log is."""

    path: str = "streammf-data/log"
    """The log's folder; its name is the topic."""
    segment_mib: Annotated[int, msgspec.Meta(ge=1, le=4096)] = DEFAULT_SEGMENT_MIB
    """MiB after which a new segment file is begun."""


class LogSource:
    """Reads an embedded log and follows it as it grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = LogFolder(folder, create=False)
        self._id = self._folder.read_id()
        self._partition = Partition(folder.resolve().name, 0)
        self.partitions: tuple[Partition, ...] = (self._partition,)
        self._file: int | None = None
        self._first = 0  # the open segment
        self._at = 0  # bytes into it: the next record's place
        self._next = 0
        self._data = b""  # bytes of the segment that were read, from `_at - _used` on
        self._used = 0
        self._closed = False
        self._open_segment(self._folder.segments()[0])

    def topic_ids(self) -> dict[str, str]:
        """Read anew each time: a folder that was replaced is another log."""
        return {self._partition.topic: self._folder.read_id()}

    def bounds(self) -> dict[Partition, Bounds]:
        """From the first segment to what is durable."""
        return {self._partition: Bounds(self._folder.segments()[0], self._folder.end().next)}

    def check(self) -> None:
        """By the log's id, as it was when the log was opened."""
        if self._folder.read_id() != self._id:
            raise DataLossError(f"the log {self._folder.path} was replaced by another one")

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from the position; without one from the log's start."""
        firsts = self._folder.segments()
        position = positions.get(self._partition, firsts[0])
        if position < firsts[0]:
            raise self._lost(firsts[0] - position, f"starts at {firsts[0]}, position {position} was asked for")
        end = self._folder.end().next
        if position > end:
            raise self._lost(position - end, f"ends at {end}, position {position} was asked for")
        self._open_segment(firsts[bisect_right(firsts, position) - 1])
        while self._next < position:
            self._take(self._scanned(position - self._next))

    def poll(self, most: int, timeout: float) -> PlainRecords | None:
        """Looks at the log's end every few milliseconds at most while it waits."""
        deadline = time.monotonic() + timeout
        pause = _SHORTEST_PAUSE
        while not self._has_more():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, _LONGEST_PAUSE)
        first = self._next
        scanned = self._scanned(most)
        self._take(scanned)
        return one_partition(self._partition, first, scanned.values, scanned.timestamps, scanned.keys)

    def positions(self) -> dict[Partition, int]:
        """The next offset."""
        return {self._partition: self._next}

    def ends(self) -> dict[Partition, int]:
        """The next offset that will be written, of what is durable."""
        return {self._partition: self._folder.end().next}

    def standing(self) -> Standing:
        """All that is durable can be read."""
        ends = self.ends()
        return Standing(ends, ends, "")

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """The embedded log keeps nobody's positions."""

    @property
    def exhausted(self) -> bool:
        """A log may always grow."""
        return False

    def close(self) -> None:
        """Let go of the log."""
        if self._closed:
            return
        self._closed = True
        if self._file is not None:
            os.close(self._file)
        self._folder.close()

    def _has_more(self) -> bool:
        if self._used < len(self._data):
            return True
        end = self._folder.end().next
        if end < self._next:
            raise self._lost(self._next - end, f"ends at {end} now")
        return end > self._next

    def _lost(self, count: int, why: str) -> DataLossError:
        return DataLossError(f"{count} events are lost: the log {self._folder.path} {why}")

    def _scanned(self, most: int) -> Scanned:
        """At least one record from `_next` on; the caller knows that it is durable."""
        scanned = scan(self._data, self._used, most)
        if not scanned.values and not scanned.broken:
            self._load()
            scanned = scan(self._data, 0, most)
        if not scanned.values:
            place = f"{self._folder.segment(self._first)} is damaged at byte {self._at}"
            raise SourceError(f"{place}: record {self._next} does not match its checksum; put the file back from a copy")
        return scanned

    def _take(self, scanned: Scanned) -> None:
        self._at += scanned.stop - self._used
        self._used = scanned.stop
        self._next += len(scanned.values)

    def _load(self) -> None:
        """Read durable bytes from the next record on."""
        end = self._folder.end()
        if self._first != end.first and self._at == self._segment_bytes():
            self._open_segment(self._next)
        limit = end.size if self._first == end.first else self._segment_bytes()
        self._data = os.pread(self._descriptor(), min(CHUNK_BYTES, limit - self._at), self._at)
        self._used = 0

    def _open_segment(self, first: int) -> None:
        path = self._folder.segment(first)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DataLossError(f"events from {first} on are lost: {path} is gone") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        if self._file is not None:
            os.close(self._file)
        self._file, self._first, self._next = file, first, first
        self._at, self._used, self._data = 0, 0, b""

    def _descriptor(self) -> int:
        assert self._file is not None
        return self._file

    def _segment_bytes(self) -> int:
        return os.fstat(self._descriptor()).st_size


class LogSink:
    """Appends to an embedded log. Several sinks, in several processes, may append to one log."""

    def __init__(self, folder: Path, create: bool = False, segment_bytes: int = DEFAULT_SEGMENT_MIB << 20) -> None:
        self._folder = LogFolder(folder, create)
        self._partition = Partition(folder.resolve().name, 0)
        self._segment_bytes = segment_bytes
        self._collected: list[bytes] = []
        self._collected_bytes = 0
        self._written: dict[Partition, int] = {}
        self._closed = False

    def append(self, key: bytes | None, value: bytes, timestamp: int) -> None:
        """Collect one record; now and then, flush."""
        key = key or b""
        if len(key) + len(value) > MOST_RECORD_BYTES:
            raise SourceError(f"a record of {len(key) + len(value)} bytes: the log takes at most {MOST_RECORD_BYTES}")
        record = pack(key, value, timestamp)
        self._collected.append(record)
        self._collected_bytes += len(record)
        if self._collected_bytes >= _MOST_COLLECTED:
            self.flush()

    def flush(self) -> dict[Partition, int]:
        """Write and fsync what was collected. After an error it is still collected: flushing again tries again."""
        if self._collected:
            # taken out first: a flush that Ctrl-C ends may have written them, and must not write them twice
            records, self._collected = self._collected, []
            try:
                with self._folder.locked():
                    end = self._folder.append(self._folder.settle(), b"".join(records), len(records), self._segment_bytes)
            except SourceError:
                self._collected = records
                raise
            self._written = {self._partition: end.next - 1}
            self._collected_bytes = 0
        return dict(self._written)

    def close(self) -> None:
        """Flush and let go, even where the flush fails."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
        finally:
            self._folder.close()
