"""Topics for one test, with events in them, and a trainer that learns from them in this process.

Rules of this file:
1. A topic is the test's own, so no test waits for another one's records.
2. What a trainer raises is raised where the block that it runs in ends, unless the test has taken it.
"""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.kafka import KafkaOptions, KafkaSource, create_topic
from streammf.events.source import Partition, Source
from streammf.learning.options import LearningOptions
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.meta import Meta
from streammf.state.options import Limits, StoreOptions
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from tests.waiting import wait_for

LEARNING = LearningOptions(factors=4, history=4, recent=50)
OPTIONS = TrainerOptions(idle_seconds=0.01, commit_seconds=0.05)


class Topic:
    """A topic of the test's own."""

    def __init__(self, address: str, partitions: int = 1, name: str = "") -> None:
        self.name = name or f"faults-{uuid.uuid4().hex}"
        self.options = KafkaOptions(bootstrap_servers=address, topics=[self.name])
        self._client: dict[str, str | int | float | bool] = {"bootstrap.servers": address, "log_level": 2}
        self.admin = AdminClient(self._client)
        self.create(partitions)

    def create(self, partitions: int) -> None:
        wait_for(lambda: create_topic(self.options, self.name, partitions), "the topic created")

    def delete(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result(10)

    def recreate(self, partitions: int = 1) -> None:
        """The name is free a moment after a deletion returns."""
        self.delete()
        self.create(partitions)

    def grow(self, partitions: int) -> None:
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(10)

    def forget(self, before: int, partition: int = 0) -> None:
        """Delete the records before an offset."""
        for future in self.admin.delete_records([TopicPartition(self.name, partition, before)]).values():
            future.result(10)

    def write(self, events: Sequence[Event], partition: int = 0, pad: int = 0) -> None:
        """Durably, in order; `pad`: bytes that each record is larger than it need be."""
        producer = Producer({**self._client, "enable.idempotence": True})
        for event in events:
            value = encode_json(event)[:-1] + b',"pad":"' + b"-" * pad + b'"}'
            producer.produce(self.name, value, event.user.encode(), partition, timestamp=event.ts or 0)
        assert producer.flush(60) == 0

    def source(self) -> KafkaSource:
        return KafkaSource(self.options)

    def advised(self, partitions: int = 1) -> dict[Partition, int]:
        """The positions that Kafka's lag tools see."""
        with closing(Consumer({**self._client, "group.id": self.options.group_id})) as tool:
            asked = [TopicPartition(self.name, number) for number in range(partitions)]
            return {Partition(one.topic, one.partition): one.offset for one in tool.committed(asked, 20)}


def events(count: int, first: int = 0, prefix: str = "u") -> list[Event]:
    """`count` distinct clicks, numbered from `first`."""
    return [
        Event(user=f"{prefix}{n % 13}", item=f"i{n * n % 17}", ts=1_700_000_000_000 + 60_000 * n)
        for n in range(first, first + count)
    ]


class Learning:
    """A trainer at work."""

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self.trainer = trainer
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._folder = folder
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def until(self, count: int) -> None:
        """Until so many events are applied; more fail, and so does an error."""

        def reached() -> bool:
            return self.trainer.events >= count or self.error is not None

        wait_for(reached, f"{count} events", 60)
        if self.error is not None:
            raise self.error
        assert self.trainer.events == count

    def until_durable(self, count: int) -> None:
        """Until so many events are in a commit. The store itself is open already, and once in a process."""
        with closing(LiveReader(self._folder / "live")) as reader:
            wait_for(lambda: reader.view().header.committed_events == count, f"{count} events in a commit", 60)

    def until_positions(self, wanted: dict[Partition, int]) -> None:
        """Until these are published."""
        with closing(LiveReader(self._folder / "live")) as reader:
            wait_for(
                lambda: {Partition(topic, number): at for topic, number, at in reader.view().header.positions} == wanted,
                f"positions {wanted}",
                60,
            )

    def ended(self) -> BaseException:
        """The error that it ends with by itself."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error is not None
        error, self.error = self.error, None
        return error

    def finish(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self.trainer.run(self.stop)
        except BaseException as error:  # noqa: BLE001 - raised by `finish`, or taken by `ended`
            self.error = error


@contextmanager
def learning(folder: Path, source: Source, *, accept_loss: bool = False) -> Iterator[Learning]:
    """A trainer over the store and live memory of `folder` while the block runs; the source is closed after it."""
    with ExitStack() as parts:
        parts.enter_context(closing(source))
        store = parts.enter_context(closing(Store.open(StoreOptions(path=str(folder / "store")))))
        live = parts.enter_context(closing(LiveWriter(folder / "live", LEARNING, Limits(10_000, 10_000))))
        running = Learning(Trainer(source, store, live, LEARNING, OPTIONS, accept_loss=accept_loss), folder)
        try:
            yield running
        finally:
            running.stop.set()
            running.finish()


def learned(folder: Path, source: Source, count: int, *, accept_loss: bool = False) -> None:
    """Learn until `count` events are applied, and stop."""
    with learning(folder, source, accept_loss=accept_loss) as running:
        running.until(count)


def meta_of(folder: Path) -> Meta:
    """What the store says of itself."""
    with Store.open_readonly(folder / "store") as store:
        meta = store.meta()
    assert meta is not None
    return meta
