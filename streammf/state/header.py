"""What the trainer says of the live memory, and when: the header that makes rows, ids and positions visible to readers.

Rules of this file:
1. Rows are written first, the header after them: who has read a header may read all rows and ids that it counts.
2. Two places take turns, and the sequence number, one store of eight bytes, says which one holds. So the writer never
   writes where readers look, and one that is killed in the middle leaves the header before it whole.
3. A reader slower than two publications sees a torn header: its number or its checksum is wrong. It reads again.
"""

import struct
import zlib
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from streammf.errors import ConfigurationError
from streammf.failpoints import reach
from streammf.learning.tables import Axis
from streammf.state.region import PAGE, Region

Status = Literal["recovering", "learning", "stopped"]

#: The file's name, in a generation's folder.
HEADER: Final = "header"
#: Bytes set aside for one header; backed only as far as it is used. 4 MiB hold the positions of 65,536 partitions.
PLACE: Final = 4 << 20
#: Sequence number of the publication, bytes of the payload, their CRC-32. The payload follows.
PREFIX: Final = struct.Struct("=QII")
#: A reading takes microseconds, and is torn only by two publications within it: so many in a row do not happen.
ATTEMPTS: Final = 1_000


class Header(msgspec.Struct, kw_only=True, array_like=True):
    """How far the model is. What follows `committed_at` is filled in by LiveWriter."""

    status: Status
    events: int = 0
    """Events applied since the beginning."""
    clock: int = 0
    """The event clock, ms since the epoch."""
    positions: list[tuple[str, int, int]] = []
    """(topic, partition, next offset): every event before it is in the rows."""
    rejected: int = 0
    """Records set aside since the beginning."""
    refused: int = 0
    """Events refused since the beginning, because they named a user or an item that has no row and gets none yet."""
    committed_events: int = 0
    """Events applied when the last commit was taken."""
    committed_at: float = 0.0
    """Wall clock of the last commit, seconds since the epoch; 0: none yet."""
    generation: int = 0
    counts: list[int] = []
    """Rows in use, by Axis."""
    user_level: int = 0
    item_level: int = 0
    published_at: float = 0.0
    """Wall clock, seconds since the epoch."""
    trainer_pid: int = 0
    vacant: tuple[int, int] = (0, 0)
    """Of the rows in use, forgotten ones that stand for nothing: users, items."""

    @property
    def known(self) -> tuple[int, int]:
        """How many users and items there are."""
        return self.counts[Axis.USER] - self.vacant[0], self.counts[Axis.ITEM] - self.vacant[1]


class HeaderFile:
    """The mapped file of one generation's header. Made by `create` (the writer) or `attach` (readers)."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._sequence = region.array("u8", (1,))
        self._bytes = region.array("u1", (region.capacity,)).data
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Header)
        self._backed = [0, 0]

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new file that holds no header yet."""
        region = Region.create(path, PAGE + 2 * PLACE)
        region.reserve(0, PAGE)
        return cls(region)

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Read-only."""
        return cls(Region.attach(path))

    @property
    def sequence(self) -> int:
        """The number of the last publication; 0: none yet. Cheap: what a reader asks first."""
        return int(self._sequence[0])

    def write(self, header: Header) -> None:
        """Publish."""
        payload = self._encoder.encode(header)
        number = self.sequence + 1
        size = PREFIX.size + len(payload)
        self._back(number % 2, size)
        at = PAGE + number % 2 * PLACE
        PREFIX.pack_into(self._bytes, at, number, len(payload), zlib.crc32(payload))
        self._bytes[at + PREFIX.size : at + size] = payload
        reach("header.written")
        self._sequence[0] = number
        reach("header.published")

    def read(self) -> tuple[int, Header] | None:
        """The last publication and its number; None where there is none, or it stays torn."""
        for _ in range(ATTEMPTS):
            number = self.sequence
            if number == 0:
                return None
            at = PAGE + number % 2 * PLACE
            written, size, check = PREFIX.unpack_from(self._bytes, at)
            payload = bytes(self._bytes[at + PREFIX.size : at + PREFIX.size + min(size, PLACE)])
            if written == number and zlib.crc32(payload) == check:
                return number, self._decoder.decode(payload)
        return None

    def close(self) -> None:
        """Let go."""
        self._region.close()

    def _back(self, place: int, size: int) -> None:
        """Back a place's first `size` bytes, in steps, so that publishing seldom asks the file system."""
        if size <= self._backed[place]:
            return
        if size > PLACE:
            raise ConfigurationError(f"the positions of all partitions take {size:,} bytes, the header holds {PLACE:,}")
        step = min(max(2 * size, 16 * PAGE), PLACE)
        self._region.reserve(PAGE + place * PLACE, PAGE + place * PLACE + step)
        self._backed[place] = step
