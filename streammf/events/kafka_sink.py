"""Kafka as a place to write events to.

Rules of this file:
1. Written once and in order: without idempotence a topic's first second reorders whole batches.
2. A user's events go to one partition, the same that Java's producers choose.
3. A record that was refused is raised at the next call, with the broker's reason and the setting that helps.
4. Old events vanish unless told otherwise, because retention counts from a record's own timestamp: that is asked first.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streammf.errors import ConfigurationError, SourceError
from streammf.events.kafka_cluster import Cluster, reason_of
from streammf.events.kafka_options import KafkaOptions
from streammf.events.source import Partition

_DEFAULTS: Final = {
    "linger.ms": "5",
    "compression.type": "zstd",
    # a reader of several partitions gets no less than a batch of each in turn: small ones keep their times together
    "batch.num.messages": "500",
    # librdkafka's own choice is another hash than that of Java's producers
    "partitioner": "murmur2_random",
}
_EXACT: Final = {"enable.idempotence": True, "acks": "all", "delivery.report.only.error": False}
#: Topics made for replays keep events of any age.
_KEEP: Final = {"retention.ms": "-1", "cleanup.policy": "delete"}
#: Records between two looks at what was delivered.
_LOOK_EVERY: Final = 100
#: s to wait for room in the client's full queue before looking again.
_ROOM_SECONDS: Final = 0.1


def create_topic(options: KafkaOptions, name: str, partitions: int = -1) -> bool:
    """Create a topic that never deletes by age (-1 partitions: the cluster's default). False: it was there already."""
    with closing(Cluster(options)) as cluster:
        return cluster.create_topic(name, partitions, _KEEP)


class KafkaSink:
    """One topic, written keyed and with the events' own times."""

    def __init__(self, options: KafkaOptions, topic: str | None = None) -> None:
        """`topic` may be left out where the options name one alone. Raises SourceError as a source does."""
        if topic is None and len(options.topics) > 1:
            raise ConfigurationError(f"which topic is to be written? There are {', '.join(options.topics)}")
        self.topic = topic or options.topics[0]
        self._cluster = Cluster(options)
        self._cluster.partitions([self.topic])
        self._producer: Producer = self._cluster.client(Producer, {**_DEFAULTS, **options.properties, **_EXACT})
        self._last: dict[Partition, int] = {}
        self._appended = 0
        self._refused = 0
        self._reason: KafkaError | None = None
        self._closed = False

    def check_retention(self, oldest: int, newest: int | None = None) -> None:
        """Raises SourceError where the topic would delete or refuse records stamped `oldest` to `newest`, ms."""
        settings = self._cluster.settings(self.topic)
        now = int(time.time() * 1000)
        if "compact" in settings.get("cleanup.policy", ""):
            raise SourceError(
                f"topic {self.topic} is compacted, it would keep only each user's last event: set cleanup.policy=delete"
            )
        if settings.get("message.timestamp.type") == "LogAppendTime":
            return
        retention = int(settings["retention.ms"])
        if 0 <= retention < now - oldest:
            raise SourceError(
                f"topic {self.topic} deletes records older than {retention / 86_400_000:.1f} days at once, "
                f"and the oldest event is {(now - oldest) / 86_400_000:.0f} days old: set the topic's retention.ms=-1"
            )
        _check_stamps(self.topic, settings, oldest - now, (oldest if newest is None else newest) - now)

    def append(self, key: bytes | None, value: bytes | None, timestamp: int, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Hand one record to the client, which sends it in the background. Waits while its queue is full."""
        if self._reason is not None:
            raise self._refusal()
        while True:
            try:
                self._producer.produce(
                    self.topic, value, key, timestamp=timestamp, headers=list(headers), on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(_ROOM_SECONDS)
            except KafkaException as error:
                raise SourceError(f"nothing can be written to topic {self.topic}: {reason_of(error).str()}") from error
            else:
                break
        self._appended += 1
        if self._appended % _LOOK_EVERY == 0:
            self._producer.poll(0)

    def flush(self) -> dict[Partition, int]:
        """Wait until every replica in sync has what was appended, or until the client gives a record up."""
        self._producer.flush()
        if self._reason is not None:
            raise self._refusal()
        return dict(self._last)

    def close(self) -> None:
        """Flush and let go."""
        if not self._closed:
            self._closed = True
            self._cluster.close()
            self.flush()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._last[Partition(self.topic, message.partition() or 0)] = message.offset() or 0
        else:
            self._refused += 1
            self._reason = self._reason or error

    def _refusal(self) -> SourceError:
        """The error for what was refused so far, which is then forgotten: it is raised once."""
        reason, refused = self._reason, self._refused
        assert reason is not None
        self._reason, self._refused = None, 0
        remedy = ""
        if reason.code() == KafkaError.INVALID_TIMESTAMP:
            remedy = " (message.timestamp.after.max.ms and message.timestamp.before.max.ms are the topic's bounds)"
        elif reason.code() == KafkaError._MSG_TIMED_OUT and self._cluster.connection.trouble:
            remedy = f" ({self._cluster.connection.trouble})"
        return SourceError(f"topic {self.topic} refused {refused} records: {reason.str()}{remedy}")


def _check_stamps(topic: str, settings: Mapping[str, str], youngest_past: int, furthest_future: int) -> None:
    """Raises SourceError where a stamp lies further from now than the topic allows; ms relative to now."""
    before = int(settings.get("message.timestamp.before.max.ms", 2**63 - 1))
    after = int(settings.get("message.timestamp.after.max.ms", 2**63 - 1))
    if -youngest_past > before:
        raise SourceError(f"topic {topic} refuses events this old: raise message.timestamp.before.max.ms, now {before}")
    if furthest_future > after:
        raise SourceError(
            f"topic {topic} refuses events {furthest_future / 1000:.0f} s in the future: "
            f"raise message.timestamp.after.max.ms, now {after}, or correct the events' times"
        )
