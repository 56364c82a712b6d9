"""One partition whose broker is away while another one flows, on the client library's mock brokers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streammf.errors import SourceError, UnreachableError
from streammf.events.codec import encode_json
from streammf.events.kafka import KafkaOptions, KafkaSource
from streammf.events.source import Partition, Standing
from streammf.learning.compiling import ready
from tests.integration.kafka_topics import events, learning, meta_of
from tests.integration.mock_brokers import MockBrokers, mock_brokers
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)
FLOWING, STALLED = Partition("events", 0), Partition("events", 1)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    with mock_brokers(2) as cluster:
        cluster.create_topic("events", leaders=[1, 2])
        yield cluster


def write(brokers: MockBrokers, partition: Partition, count: int, first: int = 0) -> None:
    producer = Producer({"bootstrap.servers": brokers.address, "log_level": 2})
    for event in events(count, first):
        producer.produce(partition.topic, encode_json(event), partition=partition.number, timestamp=event.ts or 0)
    assert producer.flush(60) == 0


def source_of(brokers: MockBrokers, seconds: float = 20.0) -> KafkaSource:
    return KafkaSource(KafkaOptions(bootstrap_servers=brokers.address, connect_seconds=seconds))


def test_a_stalled_partition_holds_up_no_other_and_goes_on_where_it_was(brokers: MockBrokers, tmp_path: Path) -> None:
    write(brokers, FLOWING, 30)
    write(brokers, STALLED, 20)
    source = source_of(brokers)
    with learning(tmp_path, source) as running:
        running.until(50)
        wait_for(lambda: source.standing() == Standing({FLOWING: 30, STALLED: 20}, {FLOWING: 30, STALLED: 20}, ""), "the ends")
        brokers.set_down(2)
        write(brokers, FLOWING, 40, first=1000)
        running.until(90)
        running.until_durable(90)
        standing = wait_for(lambda: stand if (stand := source.standing()).trouble else None, "the trouble to be told", 60)
        assert standing is not None
        assert standing.trouble.startswith("events/1: ")
        assert standing.ends == {FLOWING: 70, STALLED: 20}
        clock = running.trainer._clocks()
        assert clock[FLOWING] == events(1, 1039)[0].ts
        assert clock[STALLED] == events(1, 19)[0].ts
        brokers.set_up(2)
        write(brokers, STALLED, 10, first=20)
        running.until(100)
        running.until_positions({FLOWING: 70, STALLED: 30})
        assert running.trainer._model.clock == clock[FLOWING]
        wait_for(lambda: source.standing() == Standing({FLOWING: 70, STALLED: 30}, {FLOWING: 70, STALLED: 30}, ""), "the ends")
    meta = meta_of(tmp_path)
    assert (meta.events, [p.next for p in meta.positions]) == (100, [70, 30])


def test_a_start_with_a_partition_that_does_not_answer_is_no_data_loss(brokers: MockBrokers) -> None:
    write(brokers, STALLED, 20)
    brokers.set_down(2)
    with pytest.raises(UnreachableError) as raised:
        source_of(brokers, 1.0)
    assert isinstance(raised.value, SourceError)
    brokers.set_up(2)
    source = source_of(brokers)
    source.seek({STALLED: 20})
    assert source.positions() == {FLOWING: 0, STALLED: 20}
    source.close()
