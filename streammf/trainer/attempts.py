"""Which records a trainer is working on, known to the next one, should this one die of them.

Rules of this file:
1. What is being decoded and what is being learned from stands in a mapped file beside the store: some numbers a batch, no
   system call. Who is killed leaves them there. Only what an unclean end taught is synced, at the next start.
2. A death says that one of the records in flight may be to blame. They are then taken FEW at a time, each few decoded and
   learned from before the next are read, and after a second death one at a time: so the third one names the record. (Halving
   the batch would take a dozen deaths; one at a time from the first death on, each kill from outside would cost seconds.)
3. A record that was in flight when the trainer died MOST times, the last time alone, is set aside as `poison`.
4. An error that StreamMF raises on purpose, and an end that was asked for, are nobody's death.
"""

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.errors import StreamMFError
from streammf.events.event import Rejected
from streammf.events.records import some
from streammf.events.source import Partition, Records
from streammf.state.datafile import said, sync

log: Final = logging.getLogger(__name__)

#: The file's name, in the store's folder.
NAME: Final = "attempts"
#: Deaths after which a record is set aside.
MOST: Final = 3
#: Records taken at a time after one death.
FEW: Final = 64
#: What may be in flight at once.
DECODING, LEARNING = range(2)
STAGES: Final = 2
#: Bytes of the length of what stands before the numbers.
_LENGTH: Final = 8


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """Records first .. next - 1 of a partition, in flight when a trainer died, `deaths` times each."""

    topic: str
    partition: int
    first: int
    next: int
    deaths: int

    @property
    def place(self) -> Partition:
        """Whose records they are."""
        return Partition(self.topic, self.partition)


class Tried(NamedTuple):
    """Records that were in flight at a death."""

    first: int
    next: int
    alone: bool
    """It was one record. Where it was not, no count reaches MOST."""


class _Head(msgspec.Struct):
    """What stands before the numbers."""

    partitions: list[Partition]
    suspects: list[Suspect]


class Attempts:
    """What one trainer is working on. Each stage is one thread's."""

    def __init__(self, folder: Path, partitions: Sequence[Partition], positions: Mapping[Partition, int]) -> None:
        """Learn what the last trainer of this store left. `positions`: what is committed. Raises StoreError."""
        self._partitions = partitions
        self._reached = [[positions[partition] for partition in partitions] for _ in range(STAGES)]
        with said("write", folder):
            suspects = [one for one in _left(folder / NAME) if one.next > positions.get(one.place, one.next)]
            self._numbers = _begun(folder / NAME, _Head(list(partitions), suspects))
        self._ahead = suspects
        self._poison = [one for one in suspects if one.deaths >= MOST]
        for one in suspects:
            log.warning(
                "the trainer died %d time%s while it worked on %s/%d, offset %d to %d: %s",
                one.deaths, "s" * (one.deaths != 1), one.topic, one.partition, one.first, one.next - 1,
                "set aside" if one.deaths >= MOST else "they are taken few at a time now",
            )  # fmt: skip

    @property
    def careful(self) -> bool:
        """Whether nothing is to be read ahead, because a record that comes may be to blame for a death."""
        return bool(self._ahead)

    def most(self, usual: int) -> int:
        """Records to be taken at a time, where it would be `usual`."""
        if not self._ahead:
            return usual
        return 1 if any(one.deaths > 1 for one in self._ahead) else min(FEW, usual)

    @contextlib.contextmanager
    def trying(self, stage: int, records: int, positions: Mapping[Partition, int]) -> Iterator[None]:
        """While the block works on so many records, which end at these positions."""
        numbers = self._numbers[stage]
        ends = [positions[partition] for partition in self._partitions]
        numbers[1] = self._reached[stage]
        numbers[2] = ends
        numbers[0, 0] = records  # last: from here on it holds
        try:
            yield
        except (StreamMFError, KeyboardInterrupt, SystemExit):
            numbers[0, 0] = 0
            raise
        numbers[0, 0] = 0
        self._reached[stage] = ends
        if stage == LEARNING and self._ahead:
            reached = dict(zip(self._partitions, ends, strict=True))
            self._ahead = [one for one in self._ahead if one.next > reached.get(one.place, one.next)]

    def without_poison(self, records: Records) -> tuple[Records, list[Rejected]]:
        """The records that may be tried, and those that are set aside untried."""
        if not self._poison:
            return records, []
        named = [self._partitions[number] for number in records.partitions.tolist()]
        deaths = [self._deaths(*place) for place in zip(named, records.offsets.tolist(), strict=True)]
        rejected = [
            Rejected(
                partition=named[i],
                offset=int(records.offsets[i]),
                reason="poison",
                detail=f"the trainer died {deaths[i]} time{'s' * (deaths[i] != 1)} while it worked on this record",
                value=records.values[i],
                key=records.key(i),
                timestamp=records.timestamp(i),
            )
            for i in range(len(named))
            if deaths[i]
        ]
        return (some(records, np.flatnonzero(np.array(deaths) == 0)), rejected) if rejected else (records, [])

    def _deaths(self, partition: Partition, offset: int) -> int:
        """Of a poisonous record; 0: it is none."""
        return next((one.deaths for one in self._poison if one.place == partition and one.first <= offset < one.next), 0)


def in_order(records: Records, partitions: Sequence[Partition], rejected: list[Rejected]) -> list[Rejected]:
    """What was rejected of a batch, in the order of its records."""
    places = zip((partitions[number] for number in records.partitions.tolist()), records.offsets.tolist(), strict=True)
    at = {place: n for n, place in enumerate(places)}
    return sorted(rejected, key=lambda record: at[record.partition, record.offset])


def _left(path: Path) -> list[Suspect]:
    """What the last trainer left: whom it suspected, and what it was working on when it ended. Nothing where there is none, or
    where a power loss left half of it: then a record is tried once more.
    """
    try:
        content = path.read_bytes()
        size = int.from_bytes(content[:_LENGTH], "little")
        head = msgspec.json.decode(content[_LENGTH : _LENGTH + size], type=_Head)
        numbers = np.frombuffer(content[_start(size) :], np.int64).reshape(STAGES, 3, len(head.partitions))
    except (FileNotFoundError, ValueError, msgspec.MsgspecError):
        return []
    suspects: list[Suspect] = []
    for n, place in enumerate(head.partitions):
        tried = [Tried(int(stage[1, n]), int(stage[2, n]), bool(stage[0, 0] == 1)) for stage in numbers if stage[0, 0]]
        suspects += blamed(place, [one for one in head.suspects if one.place == place], tried)
    return suspects


def blamed(place: Partition, suspects: Sequence[Suspect], tried: Sequence[Tried]) -> list[Suspect]:
    """The suspects of a partition, once the trainer died while it worked on all of `tried`."""
    edges = {edge for one in suspects for edge in (one.first, one.next)} | {edge for one in tried for edge in one[:2]}
    found: list[Suspect] = []
    for first, following in pairwise(sorted(edges)):
        deaths = max((one.deaths for one in suspects if one.first <= first < one.next), default=0)
        for one in tried:
            if one.first <= first < one.next and (one.alone or deaths < MOST - 1):
                deaths += 1
        if deaths:
            found.append(Suspect(*place, first, following, deaths))
    return found


def _start(size: int) -> int:
    """Where the numbers begin, behind a head of this size."""
    return -(-(_LENGTH + size) // _LENGTH) * _LENGTH


def _begun(path: Path, head: _Head) -> NDArray[np.int64]:
    """A new file in the place of the old one, its numbers mapped: int64 (STAGES, 3, partitions): records in flight (the first
    number alone means something), where they begin, where they end.
    """
    text = msgspec.json.encode(head)
    shape = (STAGES, 3, len(head.partitions))
    aside = path.with_name(f".{path.name}.new")
    start = _start(len(text))
    aside.write_bytes((len(text).to_bytes(_LENGTH, "little") + text).ljust(start, b"\0") + bytes(8 * math.prod(shape)))
    if head.suspects:
        sync(aside)
    aside.rename(path)
    if head.suspects:
        sync(path.parent)
    return np.memmap(path, np.int64, "r+", start, shape).view(np.ndarray)  # whose own indexing takes a third of the time
