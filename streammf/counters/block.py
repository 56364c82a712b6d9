"""Numbers to be counted and read meanwhile: counters, gauges and histograms side by side in one piece of memory.

Rules of this file:
1. A family is declared once: name, kind, help, and a closed set of values for every label. So the number of series is known
   before anything is counted, and nothing that is sent to us can add one.
2. A number is eight bytes with one writer. Readers never stop it; counting costs some tenths of a microsecond.
"""

import mmap
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final, Literal, NamedTuple

import msgspec

Kind = Literal["counter", "gauge", "histogram"]

#: Seconds, from 100 µs on: learning and answering happen where Prometheus' own buckets have not begun.
SECONDS: Final = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: CRC-32 and length of the note.
_NOTE: Final = struct.Struct("=II")
NOTE_BYTES: Final = 32 << 10
#: A note is read while it is written now and then; a reading takes microseconds.
_ATTEMPTS: Final = 100


class Family(msgspec.Struct, frozen=True):
    """Numbers of one name: one for each combination of label values."""

    name: str
    """Without the prefix, with its unit; a counter's ends with `_total`."""
    kind: Kind
    help: str
    labels: dict[str, tuple[str, ...]] = {}
    """Label → all its values."""
    buckets: tuple[float, ...] = ()
    """Of a histogram: upper bounds, ascending; what lies above all of them has a bucket of its own."""

    def series(self) -> Iterator[tuple[str, ...]]:
        """The label values of every series, in the order of their numbers."""
        return product(*self.labels.values())

    @property
    def width(self) -> int:
        """Numbers a series: one, or those of the buckets (each event in one of them) and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


#: What every process counts: a part of its families.
OWN: Final = (
    Family("process_starts_total", "counter", "Times that this process was started."),
    Family("heartbeat", "gauge", "Wall clock of the last sign of life, seconds since the epoch."),
)


class Counter:
    """Only rises."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: "memoryview[float]", at: int) -> None:
        self._numbers = numbers
        self._at = at

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        self._numbers[self._at] += amount


class Gauge:
    """What is true now; 0 after a start."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: "memoryview[float]", at: int) -> None:
        self._numbers = numbers
        self._at = at

    def set(self, value: float) -> None:
        """It is so."""
        self._numbers[self._at] = value


class Histogram:
    """How often values fell into each bucket, and their sum."""

    __slots__ = ("_at", "_numbers", "_sum", "bounds")

    def __init__(self, numbers: "memoryview[float]", at: int, bounds: tuple[float, ...]) -> None:
        self._numbers = numbers
        self._at = at
        self._sum = at + len(bounds) + 1
        self.bounds = bounds

    def observe(self, value: float) -> None:
        """One value."""
        numbers = self._numbers
        numbers[self._at + bisect_left(self.bounds, value)] += 1.0
        numbers[self._sum] += value

    def observe_all(self, counts: Sequence[int], total: float) -> None:
        """Many values at once: how many fell into each bucket, and their sum."""
        for bucket, number in enumerate(counts, self._at):
            self._numbers[bucket] += number
        self._numbers[self._sum] += total


class Series(NamedTuple):
    """One series as read: label values, and its numbers."""

    labels: tuple[str, ...]
    numbers: tuple[float, ...]


class Block:
    """The numbers of some families, and a note: `memory` from byte `start` on. ValueError where it is too short."""

    def __init__(self, families: Sequence[Family], memory: "mmap.mmap | bytearray", start: int = 0) -> None:
        self.families = tuple(families)
        self._places: dict[str, int] = {}
        at = 0
        for family in self.families:
            self._places[family.name] = at
            at += family.width * sum(1 for _ in family.series())
        self._note = start
        first = start + NOTE_BYTES
        if len(memory) < first + 8 * at:
            raise ValueError(f"{len(memory)} bytes are too few for {at} numbers")
        self._bytes = memoryview(memory)
        self._numbers: memoryview[float] = self._bytes[first : first + 8 * at].cast("d")

    @classmethod
    def private(cls, families: Sequence[Family]) -> "Block":
        """In memory of this process, which nobody reads: for tests, and where there is no slot to be had."""
        return cls(families, bytearray(size(families)))

    def counter(self, name: str, *labels: str) -> Counter:
        """The counter of these label values."""
        return Counter(self._numbers, self._place(name, "counter", labels))

    def gauge(self, name: str, *labels: str) -> Gauge:
        """The gauge of these label values."""
        return Gauge(self._numbers, self._place(name, "gauge", labels))

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram of these label values."""
        return Histogram(self._numbers, self._place(name, "histogram", labels), self._family(name).buckets)

    def read(self, family: Family) -> Iterator[Series]:
        """All series of a family."""
        at, width = self._places[family.name], family.width
        for labels in family.series():
            yield Series(labels, tuple(self._numbers[at : at + width]))
            at += width

    def value(self, name: str, *labels: str) -> float:
        """The first number of one series."""
        return self._numbers[self._place(name, self._family(name).kind, labels)]

    def write_note(self, text: bytes) -> None:
        """Replace the note; by one thread at a time."""
        text = text[: NOTE_BYTES - _NOTE.size]
        start = self._note + _NOTE.size
        self._bytes[start : start + len(text)] = text
        _NOTE.pack_into(self._bytes, self._note, zlib.crc32(text), len(text))

    def read_note(self) -> bytes:
        """The note; empty where there is none, or where it cannot be read whole."""
        start = self._note + _NOTE.size
        for _ in range(_ATTEMPTS):
            check, length = _NOTE.unpack_from(self._bytes, self._note)
            text = bytes(self._bytes[start : start + min(length, NOTE_BYTES - _NOTE.size)])
            if zlib.crc32(text) == check:
                return text
        return b""

    def take_over(self, before: "Block") -> None:
        """Go on from the counters and histograms of another block, as far as both have them. Gauges begin anew."""
        for family in self.families:
            old = next((f for f in before.families if f.name == family.name), None)
            if family.kind == "gauge" or old is None or (old.kind, old.buckets) != (family.kind, family.buckets):
                continue
            if list(old.labels) != list(family.labels):
                continue
            known = {series.labels: series.numbers for series in before.read(old)}
            at, width = self._places[family.name], family.width
            for labels in family.series():
                for offset, number in enumerate(known.get(labels, ())):
                    self._numbers[at + offset] = number
                at += width

    def _family(self, name: str) -> Family:
        return next(family for family in self.families if family.name == name)

    def _place(self, name: str, kind: Kind, labels: tuple[str, ...]) -> int:
        family = self._family(name)
        if family.kind != kind:
            raise TypeError(f"{name} is a {family.kind}, not a {kind}")
        return self._places[name] + list(family.series()).index(labels) * family.width


def size(families: Sequence[Family]) -> int:
    """Bytes that a block of these families takes."""
    return NOTE_BYTES + 8 * sum(family.width * sum(1 for _ in family.series()) for family in families)
