"""Kafka as a source of events.

Rules of this file:
1. All partitions of the topics are assigned to this reader, in sorted order, at positions that the caller gives. There
   is no group: nobody can take a partition away, and what Kafka stores as committed is written for others, never read.
2. A position that the log does not hold is a DataLossError, at `seek` and while running; nothing is reset or skipped.
3. No record is delivered twice: offsets rise in every partition, whatever the client does, or the source ends.
4. Kafka out of reach is a state, not an error, once the source is open: poll finds nothing and goes on where it was.
5. Per-message work in Python is four C calls mapped over the batch; positions are asked for once a batch.
6. What changes while it runs is found by whoever asks how the log stands: a partition that was added is then read by the next
   poll, from its beginning, and a topic that was deleted and created again ends the source.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from streammf.errors import DataLossError, SourceError, UnreachableError
from streammf.events.kafka_cluster import Cluster
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import KafkaSink, create_topic
from streammf.events.source import Bounds, Partition, Standing

__all__ = ["KafkaOptions", "KafkaRecords", "KafkaSink", "KafkaSource", "create_topic"]

log: Final = logging.getLogger(__name__)

#: Defaults of ours that a property may change.
_DEFAULTS: Final = {
    # librdkafka pauses for 1 s once its queue is full; the reader empties that queue in less
    "fetch.queue.backoff.ms": "10",
    "check.crcs": "true",
}
#: Where there are several partitions. The client hands on one fetch after the other: with its own 1 MB a backlog comes
#: as whole months of one partition, then those months of the next, and all but the first would count as late events.
_SIDE_BY_SIDE: Final = {"max.partition.fetch.bytes": "16384"}
_EXACT: Final = {
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": False,
}
#: Errors that librdkafka mends by itself, at the same position.
_PASSING: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE})
#: s that `standing` waits for a cluster that may be away.
_ENDS_SECONDS: Final = 2.0
#: Messages taken from the client in one call, which keeps the interpreter: .4 µs each, and the learner waits for it.
AT_ONCE: Final = 256
#: s that `close` waits; what is left then dies with the process.
_CLOSE_SECONDS: Final = 3.0
#: s between two looks at whether the client has let go.
_LET_GO_PAUSE: Final = 0.001


class KafkaRecords:
    """A batch of records; timestamps and keys are looked up in the messages when asked for."""

    def __init__(
        self,
        messages: Sequence[Message],
        partitions: NDArray[np.int32],
        offsets: NDArray[np.int64],
        positions: Mapping[Partition, int],
    ) -> None:
        self._messages = messages
        self.values: list[bytes | None] = list(map(Message.value, messages))
        self.partitions = partitions
        self.offsets = offsets
        self.positions = positions

    def timestamp(self, i: int) -> int:
        """Record i's timestamp, ms since the epoch, set by its producer or by the broker; -1 where it has none."""
        kind, timestamp = self._messages[i].timestamp()
        return -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp

    def key(self, i: int) -> bytes | None:
        """Record i's key."""
        return self._messages[i].key()


class _Indices:
    """From a message's topic and number to the index of its partition."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        width = 1 + max(partition.number for partition in partitions)
        self._first = {topic: width * n for n, topic in enumerate(dict.fromkeys(topic for topic, _ in partitions))}
        self._index = np.full(width * len(self._first), -1, np.int32)
        for index, (topic, number) in enumerate(partitions):
            self._index[self._first[topic] + number] = index

    def of(self, messages: Sequence[Message]) -> NDArray[np.int32]:
        """(n,)"""
        places = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
        if len(self._first) > 1:
            topics: Sequence[Any] = list(map(Message.topic, messages))
            places += np.fromiter(map(self._first.__getitem__, topics), np.int64, len(messages))
        indices: NDArray[np.int32] = self._index[places]
        return indices


class KafkaSource:
    """All partitions of some topics, from positions that the caller keeps.

    One thread polls, seeks, asks for positions and closes; `standing`, `ends`, `bounds`, `check`, `topic_ids`, `advise` and
    `connected` are for any.
    """

    exhausted = False

    def __init__(self, options: KafkaOptions) -> None:
        """Raises SourceError where no broker answers within `connect_seconds`, or where a topic does not exist."""
        self.options = options
        self._cluster = Cluster(options)
        self.partitions = self._cluster.partitions(options.topics)
        self._ids = self._cluster.topic_ids(options.topics)
        for topic in filter(self._cluster.is_compacted, options.topics):
            log.warning(
                "topic %s is compacted: of each key only the last event is kept, the others may never be learned", topic
            )
        self._replaced = ""
        """Why this is no longer the log that was opened."""
        self._added: dict[Partition, int] = {}
        """Partitions that are new since the last poll, and where each begins."""
        self._indices = _Indices(self.partitions)
        defaults = {**_DEFAULTS, **(_SIDE_BY_SIDE if len(self.partitions) > 1 else {})}
        settings = {"group.id": options.group_id, **defaults, **options.properties, **_EXACT}
        self._consumer: Consumer = self._cluster.client(Consumer, settings)
        self._asked = [TopicPartition(*partition) for partition in self.partitions]
        self._assigned = False
        self._next = np.zeros(len(self.partitions), np.int64)
        self._ends: dict[Partition, int] = {}
        self._readable: dict[Partition, int] = {}
        self._advice: list[TopicPartition] = []
        self._closed = False
        self.seek({})

    @property
    def trouble(self) -> str:
        """Why no broker can be reached at the moment; empty while there is no sign of that."""
        return self._cluster.connection.trouble

    @property
    def connected(self) -> bool:
        """False from when all brokers are known to be away until one has answered again, to `poll` or to `standing`."""
        return not self.trouble

    def topic_ids(self) -> dict[str, str]:
        """The id that Kafka gave each topic at its creation, of the topics that were opened."""
        return dict(self._ids)

    def bounds(self) -> dict[Partition, Bounds]:
        """Ends with open transactions included."""
        partitions = self.partitions
        beginnings, ends = self._cluster.beginnings(partitions), self._cluster.ends(partitions)
        return {partition: Bounds(beginnings[partition], ends[partition]) for partition in partitions}

    def check(self) -> None:
        """By the topics' ids. Finds partitions that were added, too."""
        try:
            described = self._cluster.described(self.options.topics, _ENDS_SECONDS)
        except KafkaException:  # out of reach, or deleted: until it is created again nothing comes
            return
        new = sorted(name for name, topic in described.items() if topic.topic_id != self._ids[name])
        if new:
            self._replaced = (
                f"{', '.join(new)} was deleted and created again while it was read: what of the old topic was not read yet is "
                "lost, and cannot be counted"
            )
            raise DataLossError(self._replaced)
        there = {Partition(name, number) for name, topic in described.items() for number in topic.numbers}
        if more := sorted(there.difference(self.partitions)):
            with contextlib.suppress(UnreachableError):
                self._added = self._cluster.beginnings(more)

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from these positions, once each of them was found within what the log holds."""
        gone = sorted(positions.keys() - set(self.partitions))
        if gone:
            named = ", ".join(f"{topic}/{number}" for topic, number in gone)
            raise DataLossError(f"there are stored positions of partitions that no longer exist: {named}")
        beginnings = self._cluster.beginnings(self.partitions)
        self._ends = self._cluster.ends(self.partitions)
        starts = {partition: positions.get(partition, beginnings[partition]) for partition in self.partitions}
        losses = [
            loss
            for partition, start in starts.items()
            if (loss := _loss(partition, start, beginnings[partition], self._ends[partition]))
        ]
        if losses:
            raise DataLossError("; ".join(losses))
        self._let_go()
        self._next = np.array([starts[partition] for partition in self.partitions], np.int64)

    def poll(self, most: int, timeout: float) -> KafkaRecords | None:
        """What is at hand, up to `most`; only where that is nothing, the first record is waited for."""
        if self._replaced:
            raise DataLossError(self._replaced)
        if self._added:
            self._grow()
        if not self._assigned:
            self._assign()
        self._send_advice()
        messages = self._at_hand(most)
        if not messages:
            messages = self._consumer.consume(1, timeout)
            if messages and most > 1:
                messages += self._at_hand(most - 1)
        if any(map(Message.error, messages)):
            messages = self._without_passing_errors(messages)
        if not messages:
            return None
        self._cluster.connection.answered()
        return self._records(messages)

    def positions(self) -> dict[Partition, int]:
        """After everything that poll has returned, and after the log's own records that followed it."""
        # A partition of which nothing came yet has no position in the client: it stands where it was assigned.
        reached = [one.offset for one in self._consumer.position(self._asked)]
        self._next = np.maximum(self._next, reached)
        return dict(zip(self.partitions, self._next.tolist(), strict=True))

    def ends(self) -> dict[Partition, int]:
        """Ends with open transactions included; the last known ones while no broker answers."""
        return dict(self.standing().ends)

    def standing(self) -> Standing:
        """The last known ends of those partitions whose leaders do not answer. Checks too, so that the next poll knows."""
        try:
            with contextlib.suppress(SourceError):
                self.check()
            standing = self._cluster.standing(self.partitions, _ENDS_SECONDS)
        except RuntimeError as error:  # closed by another thread
            standing = Standing({}, {}, str(error))
        self._ends, self._readable = {**self._ends, **standing.ends}, {**self._readable, **standing.readable}
        return Standing(self._ends, self._readable, self._replaced or standing.trouble or self.trouble)

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """Show these positions to Kafka's lag tools, with the next poll; whether that succeeds changes nothing here."""
        there = self.partitions
        self._advice = [TopicPartition(*partition, position) for partition, position in positions.items() if partition in there]

    def close(self) -> None:
        """Let go; advice that is on its way still arrives where Kafka can be reached."""
        if not self._closed:
            self._closed = True
            self._send_advice()
            # Without a broker the client waits a minute for the fate of its last advice, and cannot be told not to.
            closing = threading.Thread(target=self._consumer.close, daemon=True)
            closing.start()
            closing.join(_CLOSE_SECONDS)
            self._cluster.close()

    def _at_hand(self, most: int) -> list[Message]:
        """Up to `most` messages that the client has fetched already."""
        messages: list[Message] = []
        while len(messages) < most:
            part = self._consumer.consume(min(AT_ONCE, most - len(messages)), 0)
            if not part:
                break
            messages += part
        return messages

    def _records(self, messages: list[Message]) -> KafkaRecords:
        n = len(messages)
        partitions = self._indices.of(messages)
        offsets = np.fromiter(map(Message.offset, messages), np.int64, n)
        self._advance(partitions, offsets)
        return KafkaRecords(messages, partitions, offsets, self.positions())

    def _advance(self, partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        order = np.argsort(partitions, kind="stable")
        partitions, offsets = partitions[order], offsets[order]
        same = partitions[1:] == partitions[:-1]
        least = self._next[partitions]
        least[1:][same] = offsets[:-1][same] + 1
        repeated = np.flatnonzero(offsets < least)
        if repeated.size:
            topic, number = self.partitions[partitions[repeated[0]]]
            raise SourceError(
                f"Kafka's client delivered offset {offsets[repeated[0]]} of {topic}/{number} again, where "
                f"{least[repeated[0]]} or more was due: start again from the stored positions"
            )
        last = np.append(np.flatnonzero(~same), len(offsets) - 1)
        self._next[partitions[last]] = offsets[last] + 1

    def _grow(self) -> None:
        """Read the partitions that were added, from their beginning. DataLossError where that is gone already."""
        added, self._added = self._added, {}
        new = tuple(partition for partition in added if partition not in self.partitions)
        if losses := [_loss(partition, 0, added[partition], added[partition]) for partition in new if added[partition]]:
            raise DataLossError("; ".join(losses))
        self.partitions += new
        self._indices = _Indices(self.partitions)
        self._asked = [TopicPartition(*partition) for partition in self.partitions]
        self._next = np.append(self._next, np.zeros(len(new), np.int64))
        if self._assigned:
            self._consumer.incremental_assign([TopicPartition(*partition, 0) for partition in new])

    def _assign(self) -> None:
        """Begin to fetch. Not before the first poll: a fetch that waits for news delays the next assignment."""
        starts = zip(self.partitions, self._next.tolist(), strict=True)
        self._consumer.assign([TopicPartition(*partition, start) for partition, start in starts])
        self._assigned = True

    def _send_advice(self) -> None:
        # Sent by the thread that polls: the client would keep another one waiting until the poll is over.
        advice, self._advice = self._advice, []
        if advice:
            with contextlib.suppress(KafkaException):
                self._consumer.commit(offsets=advice, asynchronous=True)

    def _let_go(self) -> None:
        """Unassign, and wait until the client has forgotten its positions, which it does some moments later."""
        self._consumer.unassign()
        self._assigned = False
        deadline = time.monotonic() + self.options.connect_seconds
        while any(one.offset >= 0 for one in self._consumer.position(self._asked)):
            if time.monotonic() > deadline:
                raise SourceError(f"Kafka's client did not let go of {', '.join(self.options.topics)}")
            time.sleep(_LET_GO_PAUSE)

    def _without_passing_errors(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            error = message.error()
            if error is None or error.code() in _PASSING:
                continue
            partition = Partition(message.topic() or "", message.partition() or 0)
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                self.check()  # it may be another log
                raise DataLossError(self._loss_while_running(partition, error))
            raise SourceError(f"{partition.topic}/{partition.number} cannot be read: {error.str()}")
        return [message for message in messages if message.error() is None]

    def _loss_while_running(self, partition: Partition, error: KafkaError) -> str:
        position = self.positions()[partition]
        beginning, end = self._cluster.beginnings([partition]), self._cluster.ends([partition])
        loss = _loss(partition, position, beginning[partition], end[partition])
        return loss or f"{partition.topic}/{partition.number} can no longer be read from {position}: {error.str()}"


def _loss(partition: Partition, position: int, beginning: int, end: int) -> str:
    """How a position lies outside the log; empty where it lies within."""
    name = f"{partition.topic}/{partition.number}"
    if position < beginning:
        return f"{beginning - position} events of {name} are lost: the log begins at {beginning}, not at {position}"
    if position > end:
        return (
            f"{name} is shorter than the stored position: {position - end} events before {position} are gone, "
            f"the log ends at {end}; it was truncated, or deleted and created again"
        )
    return ""
