"""The lines of a file, plain or compressed, without holding the file in memory.

Rules of this file:
1. Never more than a chunk and a line in memory: a line has a largest length, and what is longer is not a log of events.
2. A compressed file that ends too early is an error, never a shorter file.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from streammf.errors import SourceError

MOST_LINE_BYTES: Final = 1 << 20
_CHUNK_BYTES: Final = 256 << 10
#: zstd may blow up its input by some 30,000; small bites keep even that bounded.
_ZSTD_BITE_BYTES: Final = 4 << 10


class Lines:
    """An iterator over lists of lines: whole lines without their ends, blank ones left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        self._chunks = _decompressed(self._file, path.suffix)
        self._rest = b""
        self._ended = False
        self._failure: SourceError | None = None

    def __iter__(self) -> Iterator[list[bytes]]:
        return self

    def __next__(self) -> list[bytes]:
        while not self._ended:
            lines = [line for line in self._next_lines() if not line.isspace() and line]
            if lines:
                return lines
        raise StopIteration

    def number_of(self, nth: int) -> int:
        """Read on from the beginning: the number, from 1, of the line that is the nth, from 0, of those not blank."""
        before = 0
        while not self._ended:
            lines = self._next_lines()
            for number, line in enumerate(lines, before + 1):
                nth -= bool(line and not line.isspace())
                if nth < 0:
                    return number
            before += len(lines)
        raise IndexError(f"{self._path} has no such line")

    def consumed(self) -> int:
        """Bytes of the file that were read so far, as they stand on disk."""
        return self.size if self._ended else self._file.tell()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._file.close()

    def _next_lines(self) -> list[bytes]:
        if self._failure is not None:
            raise self._failure  # again: a generator that failed once would say that the file has ended
        try:
            chunk = next(self._chunks, b"")
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            self._failure = SourceError(f"{self._path} cannot be read on at byte {self._file.tell()}: {error}")
            raise self._failure from error
        if not chunk:
            self._ended = True
            return [self._rest]
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MOST_LINE_BYTES:
            raise SourceError(f"{self._path} has a line of more than {MOST_LINE_BYTES} bytes: it is not a log of events")
        return lines


def _decompressed(file: BinaryIO, suffix: str) -> Iterator[bytes]:
    """Non-empty chunks of what the file holds."""
    if suffix == ".zst":
        yield from _unzstd(file)
        return
    reader = gzip.GzipFile(fileobj=file) if suffix == ".gz" else file
    while chunk := reader.read(_CHUNK_BYTES):
        yield chunk


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """One frame after another. zstandard's own stream reader takes a frame that was cut off for its end."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    while bite := file.read(_ZSTD_BITE_BYTES):
        while bite:
            begun = True
            if chunk := frame.decompress(bite):
                yield chunk
            bite = frame.unused_data
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
                begun = False
    if begun:
        raise EOFError("the compressed data ends before its end-of-frame marker")
