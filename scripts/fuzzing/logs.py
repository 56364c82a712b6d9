"""Logs: files of events in every form, and the folder of an embedded log."""

import gzip
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

import zstandard

from scripts.fuzzing.records import TYPES
from scripts.fuzzing.target import Target
from streammf.errors import SourceError
from streammf.events import codec
from streammf.events.files import FileSource
from streammf.events.log import LogSource
from streammf.events.segment import pack
from streammf.events.source import Source

#: The first byte of an input chooses the form, the second how much is lost at the end.
FORMS: Final = ("csv", "jsonl", "csv.gz", "jsonl.gz", "csv.zst", "jsonl.zst")
HEADER: Final = b"user,item,value,timestamp\n"
CSV: Final = HEADER + b'u1,i1,4,874724710\r\n\r\n"a,b",i2,-.5,1396314141.719\n'
TYPED: Final = b"user,item,value,timestamp,type\nu1,i1,4,874724710,view\n"
JSONL: Final = b'{"user":"a","item":"b","ts":5}\nnonsense\n\n{"user":"c","item":"d","ts":7}\n'
FILES_GOOD: Final = tuple(
    bytes([form + 6 * packed, 0]) + ((FORMS[form].startswith("csv") and text) or JSONL)
    for form in range(len(FORMS))
    for packed in (0, 1)
    for text in (CSV, TYPED)
)
_END: Final = struct.Struct("<QQQ")
RECORD: Final = b'{"user":"a","item":"b","ts":5}'
SEGMENT: Final = pack(b"a", RECORD, 5) + pack(b"", b"", 0) + pack(b"c", RECORD, 2**40)


def fed_file(data: bytes) -> str:
    """The file that these bytes describe, read to its end twice: whole, and from the middle."""
    if len(data) < 2:
        return "too short"
    form, content = FORMS[data[0] % len(FORMS)], data[2:]
    if data[0] // len(FORMS) % 2:  # really compressed: so that what is inside is read, too
        content = gzip.compress(content, 1) if form.endswith(".gz") else content
        content = zstandard.compress(content, 1) if form.endswith(".zst") else content
    content = content[: len(content) - data[1] % 64]
    with _folder() as folder:
        path = folder / f"events.{form}"
        path.write_bytes(content)
        try:
            with closing(FileSource(path)) as source:
                return _read_twice(source)
        except SourceError:
            return "source error"


def fed_log(data: bytes) -> str:
    """The log folder that these bytes describe: the first says which of its files they are."""
    if not data:
        return "too short"
    which, content = data[0] % 4, data[1:]
    with _folder() as folder:
        (folder / "id").write_bytes(content if which == 3 else b"streammf-log 1 0123456789abcdef\n")
        (folder / f"{0:020d}.log").write_bytes(SEGMENT if which >= 2 else content)
        if which == 1:  # all of the segment is said to be durable
            body = _END.pack(3, 0, len(content))
            (folder / "end").write_bytes(body + struct.pack("<I", crc32(body)))
        elif which == 2:
            (folder / "end").write_bytes(content + struct.pack("<I", crc32(content)))
        try:
            with closing(LogSource(folder)) as source:
                return _read_twice(source)
        except SourceError:
            return "source error"


def _read_twice(source: Source) -> str:
    """Read to the end, count what is there, and read again from the middle."""
    partition = source.partitions[0]
    source.seek({})
    first = source.positions()[partition]
    values = list(_values(source))
    end = source.ends()[partition]
    assert len(values) == end - first, f"{len(values)} records, {first} to {end} were promised"
    middle = first + len(values) // 2
    source.seek({partition: middle})
    assert list(_values(source)) == values[middle - first :], "from the middle it reads something else"
    return "read" if values else "empty"


def _values(source: Source) -> Iterator[bytes | None]:
    while (batch := source.poll(3, 0)) is not None:
        columns = codec.decode(batch, source.partitions, TYPES)
        assert len(columns.users) + len(columns.controls) + len(columns.rejected) == len(batch.values)
        yield from batch.values


@contextmanager
def _folder() -> Iterator[Path]:
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="streammf-fuzz-", dir=room) as name:
        yield Path(name)


FILES: Final = Target("files", FILES_GOOD, fed_file, (HEADER, b'"', b"\n", b"\r\n", b",", b"\xef\xbb\xbf", b"nan", b"1e308"))
FOLDERS: Final = Target(
    "log folders",
    (
        b"\0" + SEGMENT,
        b"\1" + SEGMENT,
        b"\2" + _END.pack(3, 0, len(SEGMENT)),
        b"\2" + _END.pack(2, 0, len(SEGMENT)),
        b"\3streammf-log 1 0123456789abcdef\n",
    ),
    fed_log,
    (struct.pack("<I", len(RECORD)), b"\xff" * 4, b"\0" * 4),
)
