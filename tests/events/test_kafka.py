"""Kafka as a source, on a real broker."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streammf.errors import ConfigurationError, DataLossError, ExitCode, SourceError
from streammf.events.kafka import KafkaOptions, KafkaSink, KafkaSource, create_topic
from streammf.events.source import Partition
from tests.contracts import GrowingSourceContract, Record, check_same_events, read, records
from tests.integration.broker import LocalBroker
from tests.waiting import wait_for

pytestmark = pytest.mark.kafka


class KafkaMaker:
    """One new topic, and sources on it."""

    def __init__(self, address: str, partitions: int) -> None:
        self.topic = f"events-{uuid.uuid4().hex}"
        self.options = KafkaOptions(bootstrap_servers=address, topics=[self.topic])
        self.sources: list[KafkaSource] = []
        assert create_topic(self.options, self.topic, partitions)
        self.sink = KafkaSink(self.options)

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self.sink.append(record.key, record.value, record.timestamp)
        self.sink.flush()

    def open(self) -> KafkaSource:
        self.sources.append(KafkaSource(self.options))
        return self.sources[-1]

    def forget(self, partition: Partition) -> int:
        source = self.open()
        start = source.ends()[partition] // 2
        admin = AdminClient({"bootstrap.servers": self.options.bootstrap_servers})
        for future in admin.delete_records([TopicPartition(*partition, start)]).values():
            future.result(10)
        return start

    def close(self) -> None:
        for source in self.sources:
            source.close()


@pytest.fixture
def make(kafka: str) -> Iterator[Callable[[int], KafkaMaker]]:
    made: list[KafkaMaker] = []

    def make(partitions: int) -> KafkaMaker:
        made.append(KafkaMaker(kafka, partitions))
        return made[-1]

    yield make
    for maker in made:
        maker.close()


class TestOnePartition(GrowingSourceContract):
    @pytest.fixture
    def maker(self, make: Callable[[int], KafkaMaker]) -> KafkaMaker:
        return make(1)


class TestFourPartitions(GrowingSourceContract):
    @pytest.fixture
    def maker(self, make: Callable[[int], KafkaMaker]) -> KafkaMaker:
        return make(4)


def raw_producer(address: str, **settings: str) -> Producer:
    return Producer({"bootstrap.servers": address, "log_level": 2, **settings})


def read_values(source: KafkaSource, count: int) -> list[bytes | None]:
    values: list[bytes | None] = []

    def enough() -> bool:
        batch = source.poll(1000, 0.1)
        values.extend(batch.values if batch else [])
        return len(values) >= count

    wait_for(enough, f"{count} records")
    return values


def until_raised(source: KafkaSource) -> None:
    """Polls until the source raises, and gives up after a while."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        source.poll(1000, 0.1)


def test_several_topics_are_read_in_sorted_order_of_their_partitions(make: Callable[[int], KafkaMaker]) -> None:
    makers = [make(3), make(1)]
    for n, maker in enumerate(makers):
        maker.write(records(100, first=100 * n))
    topics = [maker.topic for maker in makers]
    source = KafkaSource(KafkaOptions(bootstrap_servers=makers[0].options.bootstrap_servers, topics=topics))
    names = [Partition(topics[0], number) for number in range(3)] + [Partition(topics[1], 0)]
    assert source.partitions == tuple(sorted(names))
    seen = read(source, 200)
    for n, topic in enumerate(topics):
        check_same_events([one for one in seen if one.partition.topic == topic], records(100, first=100 * n))
    assert source.positions() == source.ends()
    source.close()


def test_a_backlog_of_several_partitions_is_read_side_by_side(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(4)
    maker.write([Record(b"%d" % n, uuid.uuid4().bytes * 4, 1_600_000_000_000 + n) for n in range(20_000)])
    source = maker.open()
    read_values(source, 10_000)
    positions, ends = source.positions(), source.ends()
    assert min(positions[partition] / ends[partition] for partition in source.partitions) > 0.25


def test_aborted_records_never_come_and_markers_are_no_lag(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    producer = raw_producer(maker.options.bootstrap_servers, **{"transactional.id": maker.topic})
    producer.init_transactions(60)
    for value, end in ((b"kept", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(maker.topic, value)
        producer.flush(10)
        end(30)
    source = maker.open()
    assert read_values(source, 3) == [b"kept"] * 3
    wait_for(lambda: source.poll(10, 0.05) is None and source.positions() == source.ends(), "no lag behind the markers")
    assert source.positions() == {Partition(maker.topic, 0): 8}

    producer.begin_transaction()
    producer.produce(maker.topic, b"open")
    producer.flush(10)
    standing = source.standing()
    assert (standing.ends, standing.readable) == ({Partition(maker.topic, 0): 9}, {Partition(maker.topic, 0): 8})
    assert source.poll(10, 0.2) is None
    producer.commit_transaction(30)
    assert read_values(source, 1) == [b"open"]
    source.close()
    reopened = maker.open()
    reopened.seek({Partition(maker.topic, 0): 8})
    assert read_values(reopened, 1) == [b"open"]


def test_null_values_keys_and_stamps_of_records_are_kept(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    producer = raw_producer(maker.options.bootstrap_servers)
    producer.produce(maker.topic, None, b"erased", timestamp=1_600_000_000_000)
    producer.produce(maker.topic, b"{}", None, timestamp=1_600_000_000_001)
    producer.flush(10)
    source = maker.open()
    batch = wait_for(lambda: source.poll(10, 0.1), "two records")
    assert batch is not None
    assert list(batch.values) == [None, b"{}"]
    assert [batch.key(0), batch.key(1)] == [b"erased", None]
    assert [batch.timestamp(0), batch.timestamp(1)] == [1_600_000_000_000, 1_600_000_000_001]


def test_advice_is_visible_as_the_group_s_offsets_and_never_read_back(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(2)
    maker.write(records(100))
    source = maker.open()
    read(source, 100)
    source.advise(source.positions())
    source.close()
    tool = Consumer({"bootstrap.servers": maker.options.bootstrap_servers, "group.id": maker.options.group_id})
    asked = [TopicPartition(*partition) for partition in source.partitions]
    committed = {Partition(one.topic, one.partition): one.offset for one in tool.committed(asked, 10)}
    assert committed == source.ends()
    tool.close()
    assert set(maker.open().positions().values()) == {0}


def test_records_deleted_under_a_running_reader_are_data_loss_that_says_how_much(
    make: Callable[[int], KafkaMaker],
) -> None:
    maker = make(1)
    partition = Partition(maker.topic, 0)
    # Nothing is fetched ahead: the reader stands at 10 when the records after it go.
    slow = {"queued.min.messages": "1", "queued.max.messages.kbytes": "1", "fetch.message.max.bytes": "1000"}
    options = KafkaOptions(bootstrap_servers=maker.options.bootstrap_servers, topics=[maker.topic], properties=slow)
    maker.write([Record(b"k", bytes(900), 1_600_000_000_000)] * 10)
    source = KafkaSource(options)
    read_values(source, 10)
    admin = AdminClient({"bootstrap.servers": maker.options.bootstrap_servers})
    # A reader that waits at the end notices nothing: it must be behind, so it stands still while records come and go.
    source._consumer.pause([TopicPartition(*partition)])
    maker.write([Record(b"k", bytes(900), 1_600_000_000_000)] * 30)
    for future in admin.delete_records([TopicPartition(*partition, 33)]).values():
        future.result(10)
    source._consumer.resume([TopicPartition(*partition)])
    with pytest.raises(DataLossError, match=r"\b23 events\b"):
        until_raised(source)
    source.close()


def test_a_shorter_topic_under_the_same_name_is_data_loss(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    maker.write(records(50))
    source = maker.open()
    before = source.topic_ids()
    source.close()
    admin = AdminClient({"bootstrap.servers": maker.options.bootstrap_servers})
    admin.delete_topics([maker.topic])[maker.topic].result(10)
    # The name is free a moment after the deletion returns.
    wait_for(lambda: create_topic(maker.options, maker.topic, 1), "the topic created again")
    maker.write(records(8))
    source = maker.open()
    assert source.topic_ids() != before
    with pytest.raises(DataLossError, match=r"\b42 events\b"):
        source.seek({Partition(maker.topic, 0): 50})


def test_a_stored_position_of_a_partition_that_is_not_there_is_named(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    with pytest.raises(DataLossError, match=f"{maker.topic}/7"):
        maker.open().seek({Partition(maker.topic, 7): 3})


def test_a_compacted_topic_is_warned_of(make: Callable[[int], KafkaMaker], caplog: pytest.LogCaptureFixture) -> None:
    maker = make(1)
    name = topic_with(maker, {"cleanup.policy": "compact"})
    KafkaSource(KafkaOptions(bootstrap_servers=maker.options.bootstrap_servers, topics=[maker.topic, name])).close()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [f"topic {name} is compacted"]


def test_an_unknown_topic_is_named_with_those_that_exist(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    wanted = maker.topic[:-1]
    options = KafkaOptions(bootstrap_servers=maker.options.bootstrap_servers, topics=[wanted])
    with pytest.raises(SourceError, match=f"no topic {wanted} at .*; there is: {maker.topic}") as raised:
        KafkaSource(options)
    assert raised.value.exit_code == ExitCode.SOURCE
    with pytest.raises(SourceError, match=f"no topic {wanted} at"):
        KafkaSink(options)


def test_no_broker_is_said_within_the_bound_with_address_and_reason() -> None:
    options = KafkaOptions(bootstrap_servers="127.0.0.1:1", connect_seconds=0.5)
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1 .*[Cc]onnection refused"):
        KafkaSource(options)
    assert time.monotonic() - begun < 5


def test_a_wrong_password_is_the_reason_given(own_kafka: LocalBroker) -> None:
    def options(password: str) -> KafkaOptions:
        return KafkaOptions(
            bootstrap_servers=own_kafka.sasl_address,
            properties={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": own_kafka.sasl_user,
                "sasl.password": password,
            },
        )

    assert create_topic(options(own_kafka.sasl_password), "events", 1)
    KafkaSource(options(own_kafka.sasl_password)).close()
    with pytest.raises(SourceError, match=r"[Aa]uthentication") as raised:
        KafkaSource(options("guessed"))
    assert "guessed" not in str(raised.value)


def test_a_broker_that_is_away_is_waited_for(own_kafka: LocalBroker) -> None:
    options = KafkaOptions(bootstrap_servers=own_kafka.address)
    create_topic(options, "events", 2)
    maker = KafkaMaker(own_kafka.address, 2)
    written = records(60)
    maker.write(written[:30])
    source = maker.open()
    seen = read(source, 30)
    for end in (own_kafka.stop, own_kafka.kill):
        ends = source.ends()
        end()
        wait_for(lambda: source.poll(10, 0.05) is None and not source.connected, "the outage to be noticed")
        assert source.trouble
        standing = source.standing()
        assert standing.ends == ends
        assert standing.trouble
        own_kafka.start()
        first = len(seen)
        maker.write(written[first : first + 15])
        seen.extend(read(source, 15))
        assert source.connected
        # the client knows the leader by the number that it had before, and goes on asking for that one
        wait_for(lambda: not source.standing().trouble, "the ends to be known again")
        assert sum(source.standing().ends.values()) == len(seen)
    check_same_events(seen, written)
    own_kafka.stop()
    source.advise(source.positions())
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 10
    own_kafka.start()


@pytest.mark.parametrize("name", ["enable.auto.commit", "auto.offset.reset", "group.protocol", "isolation.level"])
def test_a_property_that_would_break_exactness_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        KafkaOptions(properties={name: "x"})


def test_an_unknown_property_and_a_topic_named_twice_are_configuration_errors() -> None:
    with pytest.raises(ConfigurationError, match=r"fetch\.wait\.maximum"):
        KafkaSource(KafkaOptions(properties={"fetch.wait.maximum": "1"}))
    with pytest.raises(ConfigurationError, match="twice"):
        KafkaOptions(topics=["a", "a"])


def test_a_client_that_delivers_again_ends_the_source(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(2)
    maker.write(records(100))
    source = maker.open()
    read(source, 100)
    behind = max(source.partitions, key=source.positions().__getitem__)
    source._consumer.seek(TopicPartition(*behind, 0))
    with pytest.raises(SourceError, match=r"delivered offset 0 .* again"):
        until_raised(source)


def test_the_last_offsets_of_what_was_written_are_returned(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(4)
    sink = KafkaSink(maker.options)
    for record in records(100):
        sink.append(record.key, record.value, record.timestamp)
    last = sink.flush()
    ends = {partition: end for partition, end in maker.open().ends().items() if end}
    assert {partition: offset + 1 for partition, offset in last.items()} == ends
    sink.close()
    sink.close()


def test_a_refused_record_is_raised_with_the_reason_and_the_setting(make: Callable[[int], KafkaMaker]) -> None:
    sink = KafkaSink(make(1).options)
    sink.append(b"u", b"{}", int(time.time() * 1000) + 7_200_000)
    with pytest.raises(SourceError, match=r"refused 1 records: .*message\.timestamp\.after\.max\.ms"):
        sink.flush()
    sink.append(b"u", b"{}", int(time.time() * 1000))
    assert sink.flush()
    sink.close()


def test_a_topic_that_would_delete_old_events_is_refused(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(1)
    now, old = int(time.time() * 1000), 1_600_000_000_000
    sink = KafkaSink(maker.options)
    sink.check_retention(old, now)
    with pytest.raises(SourceError, match=r"message\.timestamp\.after\.max\.ms"):
        sink.check_retention(old, now + 7_200_000)
    sink.close()
    forgetting = KafkaSink(maker.options, topic_with(maker, {"retention.ms": "604800000"}))
    forgetting.check_retention(now)
    with pytest.raises(SourceError, match=r"deletes records older than 7\.0 days.*retention\.ms=-1"):
        forgetting.check_retention(old)
    compacted = KafkaSink(maker.options, topic_with(maker, {"cleanup.policy": "compact"}))
    with pytest.raises(SourceError, match=r"compacted.*cleanup\.policy=delete"):
        compacted.check_retention(now)


def topic_with(maker: KafkaMaker, settings: dict[str, str]) -> str:
    """Another topic beside the maker's."""
    from confluent_kafka.admin import NewTopic

    name = f"other-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": maker.options.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config=settings)])[name].result(10)
    wait_for(lambda: name in admin.list_topics(timeout=5).topics, "the topic to be known")
    return name


def test_creating_a_topic_twice_leaves_the_first(make: Callable[[int], KafkaMaker]) -> None:
    maker = make(3)
    assert not create_topic(maker.options, maker.topic, 1)
    assert len(maker.open().partitions) == 3
    with pytest.raises(SourceError, match="to create topic"):
        create_topic(maker.options, "not/a/name", 1)


def test_a_sink_of_several_topics_must_be_told_which() -> None:
    with pytest.raises(ConfigurationError, match="a, b"):
        KafkaSink(KafkaOptions(topics=["a", "b"]))
