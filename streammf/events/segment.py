"""The bytes of one record in a segment of the embedded log.

Rules of this file:
1. A record is: length of what follows the checksum (u32), CRC32 of that, seeded by the length (u32), timestamp (i64),
   length of the key (u32), key, value; little-endian, without padding. A length of 0 is too short to be
   true, so a stretch of zeros is no record.
2. Nothing here trusts a byte before its checksum was compared, nor reads beyond the data it was given.
"""

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

#: Key and value together; as large as Kafka's default for a message (message.max.bytes), so that logs can be replayed.
MOST_RECORD_BYTES: Final = 1 << 20

_FRAME: Final = Struct("<II")
_BODY: Final = Struct("<qI")
_HEAD: Final = Struct("<IIqI")
#: Largest record with all its fields: a reader that has so many bytes has at least one whole record.
MOST_FRAMED_BYTES: Final = _HEAD.size + MOST_RECORD_BYTES


class Scanned(NamedTuple):
    """The whole records found one after another; all lists have the same length."""

    values: list[bytes]
    keys: list[bytes]
    timestamps: list[int]
    stop: int
    """Where the record after the last whole one begins."""
    broken: bool
    """The bytes at `stop` cannot become a record. False: more bytes are needed, or enough records were found."""


def pack(key: bytes, value: bytes, timestamp: int) -> bytes:
    """One record. The caller has checked MOST_RECORD_BYTES."""
    body = _BODY.pack(timestamp, len(key)) + key + value
    return _FRAME.pack(len(body), crc32(body, len(body))) + body


def scan(data: bytes, start: int, most: int) -> Scanned:
    """At most `most` whole records from `start` on."""
    values: list[bytes] = []
    keys: list[bytes] = []
    timestamps: list[int] = []
    broken = False
    end = len(data)
    view = memoryview(data)
    while len(values) < most and start + _HEAD.size <= end:
        length, checksum, timestamp, key_length = _HEAD.unpack_from(data, start)
        if length > _BODY.size + MOST_RECORD_BYTES or length < _BODY.size + key_length:
            broken = True
            break
        stop = start + _FRAME.size + length
        if stop > end:
            break
        if crc32(view[start + _FRAME.size : stop], length) != checksum:
            broken = True
            break
        key_stop = start + _HEAD.size + key_length
        keys.append(data[start + _HEAD.size : key_stop])
        values.append(data[key_stop:stop])
        timestamps.append(timestamp)
        start = stop
    return Scanned(values, keys, timestamps, start, broken)
