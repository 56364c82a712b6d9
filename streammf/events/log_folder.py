"""The folder of an embedded log: its identity, its segments, and where it ends.

Rules of this file:
1. `id` names the log for ever. A segment `<first offset>.log` holds records in order, without gaps, and only grows.
2. `end` says how much is durable. It moves only under the lock and only after the records below it were fsynced. It is
   not fsynced itself: after a crash of the machine it may be older than the records, never newer.
3. What lies behind `end` belongs to nobody until somebody settles it under the lock: whole records stay and count, a
   torn tail is cut. Whoever opens the log settles it.
4. What lies below `end` was promised to readers. Nobody cuts or repairs it; if it is damaged, that is an error.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from uuid import uuid4
from zlib import crc32

from streammf.errors import DataLossError, SourceError
from streammf.events.segment import MOST_FRAMED_BYTES, scan

#: Bytes read at once: at least one whole record.
CHUNK_BYTES: Final = max(1 << 20, MOST_FRAMED_BYTES)
_ID_PREFIX: Final = "streammf-log 1 "
_END: Final = Struct("<QQQ")
_CHECKSUM: Final = Struct("<I")
#: A write of `end` takes microseconds; what cannot be read for so long, in seconds, is damaged.
_END_DEADLINE: Final = 1.0


class End(NamedTuple):
    """Where the durable records end."""

    next: int
    """The next offset."""
    first: int
    """The segment that holds the end, by its first offset."""
    size: int
    """Bytes of that segment."""


class LogFolder:
    """One log's folder, open. Several, in several processes, may be open on the same log."""

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path
        with self._explained("opened"):
            if create:
                _create(path)
            self.id = self.read_id()
            self._lock_file = os.open(path / "id", os.O_RDONLY | os.O_CLOEXEC)
        with self.locked():
            self.settle()

    def read_id(self) -> str:
        """The identity of the log that the folder holds now."""
        try:
            text = (self.path / "id").read_text("utf-8", "replace")
        except FileNotFoundError:
            raise SourceError(f"{self.path} is not an embedded log: it has no file 'id'") from None
        except OSError as error:
            raise SourceError(f"the log {self.path} cannot be read: {error.strerror}") from error
        if not text.startswith(_ID_PREFIX) or not text.endswith("\n"):
            raise SourceError(f"{self.path} is not an embedded log that this release can read: {text[:60]!r} in its file 'id'")
        return text.removeprefix(_ID_PREFIX).strip()

    def segment(self, first: int) -> Path:
        """The file of the segment that begins at offset `first`."""
        return self.path / f"{first:020d}.log"

    def segments(self) -> list[int]:
        """First offsets of all segments, ascending; at least one."""
        with self._explained("read"):
            firsts = sorted(int(path.stem) for path in self.path.glob("*.log") if path.stem.isdecimal())
        if not firsts:
            raise DataLossError(f"the log {self.path} has lost all its segments")
        return firsts

    def end(self) -> End:
        """Where the durable records end, as last published. Needs no lock: a half-written `end` is read again."""
        deadline = time.monotonic() + _END_DEADLINE
        while (end := self._published()) is None:
            if not self.path.exists():
                raise DataLossError(f"the log {self.path} was deleted while it was in use: put it back from a copy")
            if time.monotonic() > deadline:
                raise SourceError(f"the log {self.path} is damaged: its file 'end' does not match its checksum")
            time.sleep(0.0001)
        return end

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all that append or settle. The kernel releases the lock of a process that dies."""
        with self._explained("locked"):
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def settle(self) -> End:
        """Under the lock: decide about what a dead appender left behind `end`, and return the true end."""
        with self._explained("settled"):
            published = self._published()
            if published is None:
                # A new log, or an `end` that was lost: the last segment tells it again, from its beginning.
                first = max((int(path.stem) for path in self.path.glob("*.log") if path.stem.isdecimal()), default=0)
                if first == 0:
                    self._add_segment(0)
                published = End(first, first, 0)
                self.publish(published)
            end = self._settled(published)
            while end.first != end.next and self.segment(end.next).exists():
                end = self._settled(End(end.next, end.next, 0))
            if end != published:
                self.publish(end)
            return end

    def append(self, end: End, data: bytes, count: int, segment_bytes: int) -> End:
        """Under the lock, at the settled end: make `count` packed records durable, then publish. All or none."""
        with self._explained("written"):
            if end.size >= segment_bytes:
                self._add_segment(end.next)
                end = End(end.next, end.next, 0)
            file = os.open(self.segment(end.first), os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write(file, data, end.size)
                os.fsync(file)
            except BaseException:  # Ctrl-C too: what nobody was told of must not become whole records later
                os.ftruncate(file, end.size)
                raise
            finally:
                os.close(file)
            end = End(end.next + count, end.first, end.size + len(data))
            self.publish(end)
            return end

    def publish(self, end: End) -> None:
        """Under the lock: tell readers that the records below `end` are durable."""
        body = _END.pack(*end)
        file = os.open(self.path / "end", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _write(file, body + _CHECKSUM.pack(crc32(body)), 0)
            os.ftruncate(file, _END.size + _CHECKSUM.size)  # a damaged one may have been longer
        finally:
            os.close(file)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock_file)

    def _published(self) -> End | None:
        """What the file `end` says; None where it does not say it whole."""
        try:
            data = (self.path / "end").read_bytes()
        except FileNotFoundError:
            return None
        body = data[: _END.size]
        if len(data) != _END.size + _CHECKSUM.size or _CHECKSUM.pack(crc32(body)) != data[_END.size :]:
            return None
        return End(*_END.unpack(body))

    def _settled(self, end: End) -> End:
        """The end of the whole records in the segment of `end`, with everything behind them cut, and durable."""
        path = self.segment(end.first)
        size = path.stat().st_size
        if size < end.size:
            raise DataLossError(f"{path} has lost {end.size - size} bytes that were durable")
        if size == end.size:
            return end
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            following, stop = end.next, end.size
            while (scanned := scan(os.pread(file, CHUNK_BYTES, stop), 0, CHUNK_BYTES)).values:
                following += len(scanned.values)
                stop += scanned.stop
            os.ftruncate(file, stop)
            os.fsync(file)
        finally:
            os.close(file)
        return End(following, end.first, stop)

    def _add_segment(self, first: int) -> None:
        os.close(os.open(self.segment(first), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        _sync_folder(self.path)

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceError(f"the log {self.path} cannot be {verb}: {error.strerror or error}") from error


def _create(path: Path) -> None:
    """Make the folder and its identity, unless somebody did; who comes second takes what the first one made."""
    if (path / "id").exists():
        return
    path.mkdir(parents=True, exist_ok=True)
    identity = uuid4().hex
    aside = path / f"id.{identity}"
    with aside.open("x", encoding="utf-8") as file:
        file.write(f"{_ID_PREFIX}{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path / "id")
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    _sync_folder(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(file: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written
