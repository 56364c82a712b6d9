"""Sources in memory, for tests of what stands above them: a list of events, and faults as items of the list."""

from collections.abc import Mapping, Sequence

import numpy as np

from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.records import PlainRecords
from streammf.events.source import Bounds, Partition, Records, Standing

LOG = Partition("listed", 0)


class ListedSource:
    """Delivers a list, at most `most` at a time; an exception in the list is raised in its place."""

    def __init__(self, events: Sequence[Event | bytes | Exception], most: int = 1_000_000, topic_id: str = "one") -> None:
        self.log = LOG
        """The partition that it stands for."""
        self.partitions: tuple[Partition, ...] = (LOG,)
        self._events = events
        self._most = most
        self._topic_id = topic_id
        self._next = 0
        self.advised: list[int] = []
        """What the trainer said is durable."""

    def topic_ids(self) -> dict[str, str]:
        return {self.log.topic: self._topic_id}

    def bounds(self) -> dict[Partition, Bounds]:
        return {self.log: Bounds(0, len(self._events))}

    def check(self) -> None:
        pass

    def seek(self, positions: Mapping[Partition, int]) -> None:
        self._next = positions.get(self.log, 0)

    def rewind(self, to: int) -> None:
        """What a faulty client does behind our back."""
        self._next = to

    def poll(self, most: int, timeout: float) -> Records | None:
        batch = []
        for event in self._events[self._next :][: min(most, self._most)]:
            if isinstance(event, Exception):
                break
            batch.append(event if isinstance(event, bytes) else encode_json(event))
        if not batch:
            if self._next < len(self._events) and isinstance(error := self._events[self._next], Exception):
                raise error
            return None
        first, self._next = self._next, self._next + len(batch)
        return PlainRecords(
            values=batch,
            partitions=np.zeros(len(batch), np.int32),
            offsets=np.arange(first, self._next),
            positions={self.log: self._next},
            timestamps=[1_700_000_000_000] * len(batch),
            keys=[None] * len(batch),
        )

    def positions(self) -> dict[Partition, int]:
        return {self.log: self._next}

    def ends(self) -> dict[Partition, int]:
        return {self.log: len(self._events)}

    def standing(self) -> Standing:
        return Standing(self.ends(), self.ends(), "")

    def advise(self, positions: Mapping[Partition, int]) -> None:
        self.advised.append(positions[self.log])

    @property
    def exhausted(self) -> bool:
        return self._next >= len(self._events)

    def close(self) -> None:
        pass


def forgetting(events: Sequence[Event], every: int = 100) -> list[Event | bytes]:
    """The same, and after every so many of them a record that asks to forget a user or an item of an event before."""
    log: list[Event | bytes] = []
    for n, event in enumerate(events, 1):
        log.append(event)
        if n % every == 0:
            one = events[n - 1 - n // every % 50]
            user, item = (b'{"type":"forget_user","user":"%s"}', one.user), (b'{"type":"delete_item","item":"%s"}', one.item)
            asked, name = user if n // every % 2 else item
            log.append(asked % name.encode())
    return log


def clicks(count: int, users: int = 20, items: int = 30) -> list[Event]:
    """`count` clicks, some minutes apart, on a few items by a few users."""
    chance = np.random.default_rng(5)
    return [
        Event(
            user=f"u{chance.integers(users)}", item=f"i{int(items * chance.random() ** 2)}", ts=1_700_000_000_000 + 60_000 * n
        )
        for n in range(count)
    ]
