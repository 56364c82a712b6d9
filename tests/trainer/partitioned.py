"""A log of several partitions, whose records come as a network would have them: in order within each, in none across them."""

import random
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.records import PlainRecords
from streammf.events.source import Bounds, Partition, Records, Standing

#: Seconds, where no commit comes: refused events make none due.
MOST_PATIENCE = 0.3


class PartitionedSource:
    """Users' events by user, other records in partition 0; a poll gives a few records of some partitions, by chance."""

    def __init__(
        self,
        events: Sequence[Event | bytes],
        partitions: int,
        chance: random.Random | None = None,
        patience: int = 1_000_000_000,
    ) -> None:
        """patience: after so many records it waits until something was committed, so that commits come while it is read."""
        self._patience, self._waited, self._durable = patience, 0, threading.Event()
        self.partitions: tuple[Partition, ...] = tuple(Partition("parted", n) for n in range(partitions))
        self._chance = chance or random.SystemRandom()
        self._values: list[list[bytes]] = [[] for _ in range(partitions)]
        for event in events:
            if isinstance(event, bytes):
                self._values[0].append(event)
            else:
                self._values[sum(event.user.encode()) % partitions].append(encode_json(event))
        self._next = [0] * partitions

    def topic_ids(self) -> dict[str, str]:
        return {"parted": "one"}

    def seek(self, positions: Mapping[Partition, int]) -> None:
        self._next = [positions.get(partition, 0) for partition in self.partitions]
        self._waited = sum(self._next)

    def poll(self, most: int, timeout: float) -> Records | None:
        if sum(self._next) - self._waited > self._patience:
            self._waited = sum(self._next)
            self._durable.wait(MOST_PATIENCE)
            self._durable.clear()
        values: list[bytes] = []
        places: list[tuple[int, int]] = []
        for _ in range(3):
            number = self._chance.randrange(len(self._next))
            first = self._next[number]
            taken = self._values[number][first : first + min(self._chance.randrange(1, 60), most - len(values))]
            values += taken
            places += [(number, first + i) for i in range(len(taken))]
            self._next[number] += len(taken)
        if not values:
            return None
        partitions, offsets = zip(*places, strict=True)
        return PlainRecords(
            values=values,
            partitions=np.array(partitions, np.int32),
            offsets=np.array(offsets, np.int64),
            positions=self.positions(),
            timestamps=[1_700_000_000_000] * len(values),
            keys=[None] * len(values),
        )

    def positions(self) -> dict[Partition, int]:
        return dict(zip(self.partitions, self._next, strict=True))

    def ends(self) -> dict[Partition, int]:
        return {partition: len(values) for partition, values in zip(self.partitions, self._values, strict=True)}

    def bounds(self) -> dict[Partition, Bounds]:
        return {partition: Bounds(0, end) for partition, end in self.ends().items()}

    def check(self) -> None:
        pass

    def standing(self) -> Standing:
        return Standing(self.ends(), self.ends(), "")

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """The trainer said that so much is durable."""
        self._durable.set()

    @property
    def exhausted(self) -> bool:
        return self.positions() == self.ends()

    def close(self) -> None:
        pass
