"""Frames: bytes in, bodies out. Both ends share this file; protocol.md is the same for people.

Rules of this file:
1. No I/O, no clock, nothing but the standard library: the client needs no more than this and `msgpack`.
2. A frame's length is checked before a byte of its body is waited for. What is kept is what has arrived, never what was
   announced.
3. A malformed frame is the peer's fault: a ProtocolError, after which the connection cannot go on.
"""

from typing import Final

from streammf.errors import ProtocolError

VERSION: Final = 1
PORT: Final = 7077

#: Bytes of the length that opens a frame.
PREFIX: Final = 4
#: A request is a few hundred bytes; 1000 ids of 255 bytes are 256 KiB.
MOST_REQUEST_BYTES: Final = 1 << 20
#: The longest answer is a list of `most_k` ≤ 10,000 items with ids of 255 bytes: 3 MiB.
MOST_ANSWER_BYTES: Final = 16 << 20

#: How long a request waits for `at_least` where it does not say, and the longest it may ask for, in seconds.
WAIT_SECONDS: Final = 1.0
MOST_WAIT_SECONDS: Final = 10.0


def framed(body: bytes) -> bytes:
    """The frame around a body."""
    return len(body).to_bytes(PREFIX, "big") + body


class Framer:
    """Cuts what arrives into the bodies of frames."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The body of the next frame; None until it is whole. Raises ProtocolError, and then on every further call."""
        end = self._end()
        if end is None:
            return None
        body = bytes(self._buffer[self._start + PREFIX : end])
        self._start = end
        return body

    @property
    def due(self) -> bool:
        """Whether next() has something to say now: a whole frame or a fault."""
        try:
            return self._end() is not None
        except ProtocolError:
            return True

    @property
    def begun(self) -> bool:
        """Whether anything is kept that next() has not returned."""
        return self._start < len(self._buffer)

    def _end(self) -> int | None:
        start = self._start + PREFIX
        if start > len(self._buffer):
            return None
        length = int.from_bytes(self._buffer[self._start : start], "big")
        if not 0 < length <= self._most:
            raise ProtocolError(f"a frame of {length} bytes; allowed are 1 to {self._most}")
        return start + length if start + length <= len(self._buffer) else None
