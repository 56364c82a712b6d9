"""Kafka's faults under a trainer, made on a real broker: nothing lost or applied twice unless it was said and accepted."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from streammf.errors import DataLossError
from streammf.events.codec import encode_json
from streammf.events.kafka import KafkaOptions, KafkaRecords, KafkaSource
from streammf.events.source import Partition, Standing
from streammf.learning.compiling import ready
from streammf.state.digest import digest
from streammf.state.meta import Loss
from streammf.state.store import Store
from tests.integration.kafka_topics import Topic, events, learned, learning, meta_of
from tests.trainer.sources import ListedSource
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def refused(folder: Path, topic: Topic, said: str) -> None:
    """A start without the switch says this, and changes nothing."""
    before = meta_of(folder)
    with pytest.raises(DataLossError, match=said), learning(folder, topic.source()):
        pass
    assert meta_of(folder) == before


def test_records_deleted_before_they_were_learned_stop_the_trainer_until_accepted(
    kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka)
    topic.write(events(40))
    learned(tmp_path, topic.source(), 40)
    topic.write(events(60, 40))
    topic.forget(65)
    refused(tmp_path, topic, rf"25 events of {topic.name}/0 are lost: the log begins at 65, not at 40")
    with caplog.at_level(logging.WARNING):
        learned(tmp_path, topic.source(), 75, accept_loss=True)
    assert "accepted: 25 events" in caplog.text
    meta = meta_of(tmp_path)
    assert [loss[:6] for loss in meta.losses] == [(topic.name, 0, "expired", 40, 65, 25)]
    assert [p.next for p in meta.positions] == [100]
    topic.write(events(5, 100))
    learned(tmp_path, topic.source(), 80)
    assert meta_of(tmp_path).losses == meta.losses


def test_a_log_shorter_than_the_stored_position_stops_the_trainer_until_accepted(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    topic.write(events(30))
    longer = ListedSource(events(50), topic_id=topic.source().topic_ids()[topic.name])
    longer.log = Partition(topic.name, 0)  # what the broker had before it was cut
    longer.partitions = (longer.log,)
    learned(tmp_path, longer, 50)
    refused(tmp_path, topic, r"20 events before 50 are gone")
    learned(tmp_path, topic.source(), 50, accept_loss=True)
    assert [loss[2:6] for loss in meta_of(tmp_path).losses] == [("truncated", 50, 30, 20)]
    topic.write(events(4, 50))
    learned(tmp_path, topic.source(), 54)
    assert [p.next for p in meta_of(tmp_path).positions] == [34]


@pytest.mark.parametrize("count", [10, 30, 70])
def test_a_topic_created_again_stops_the_trainer_however_long_it_is(kafka: str, tmp_path: Path, count: int) -> None:
    topic = Topic(kafka)
    topic.write(events(30))
    learned(tmp_path, topic.source(), 30)
    before = meta_of(tmp_path).positions[0].topic_id
    topic.recreate()
    topic.write(events(count, 100))
    refused(tmp_path, topic, rf"made anew under the same name.*the {count} events of the new one")
    learned(tmp_path, topic.source(), 30 + count, accept_loss=True)
    meta = meta_of(tmp_path)
    assert meta.losses == [Loss(topic.name, 0, "recreated", 30, 0, count, before)]
    assert meta.positions[0].next == count
    assert meta.positions[0].topic_id != before
    learned(tmp_path, topic.source(), 30 + count)


def test_a_topic_created_again_under_a_running_trainer_ends_it_and_nothing_of_the_new_one_is_durable(
    kafka: str, tmp_path: Path
) -> None:
    topic = Topic(kafka)
    topic.write(events(30))
    with learning(tmp_path, topic.source()) as running:
        running.until(30)
        running.until_durable(30)
        topic.recreate()
        topic.write(events(70, 100, "stranger"))
        error = running.ended()
    assert isinstance(error, DataLossError)
    assert "was deleted and created again while it was read" in str(error)
    meta = meta_of(tmp_path)
    assert (meta.events, [p.next for p in meta.positions]) == (30, [30])
    refused(tmp_path, topic, "made anew under the same name")


class UnwatchedSource(KafkaSource):
    """Delivers some records, the others once it may, and never looks at the log in between: only a commit does."""

    def __init__(self, options: KafkaOptions, first: int) -> None:
        super().__init__(options)
        self._first = first
        self.may_go_on = threading.Event()

    def poll(self, most: int, timeout: float) -> KafkaRecords | None:
        if self._first == 0 and not self.may_go_on.wait(timeout):
            return None
        records = super().poll(min(most, self._first or most), timeout)
        self._first -= min(self._first, len(records.values) if records else 0)
        return records

    def standing(self) -> Standing:
        return Standing({}, {}, "")


def test_events_of_a_topic_created_again_that_were_learned_unnoticed_are_never_durable(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    topic.write(events(30), pad=900)
    # nothing is fetched ahead: the client stands within the log when that is replaced, and reads on without an error
    slow = {"queued.min.messages": "1", "queued.max.messages.kbytes": "1", "fetch.message.max.bytes": "1000"}
    source = UnwatchedSource(KafkaOptions(bootstrap_servers=kafka, topics=[topic.name], properties=slow), 10)
    with learning(tmp_path, source) as running:
        running.until(10)
        running.until_durable(10)
        topic.recreate()
        topic.write(events(70, 100, "stranger"), pad=900)
        source.may_go_on.set()
        error = running.ended()
        assert running.trainer.events > 10
    assert "was deleted and created again while it was read" in str(error)
    meta = meta_of(tmp_path)
    assert (meta.events, [p.next for p in meta.positions]) == (10, [10])


def test_a_deleted_topic_is_the_trouble_that_is_told_and_nothing_is_lost_with_it(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    topic.write(events(30))
    source = topic.source()
    with learning(tmp_path, source) as running:
        running.until(30)
        topic.delete()
        assert wait_for(lambda: source.standing().trouble, "the deletion to be noticed")
    assert meta_of(tmp_path).events == 30


def test_a_partition_that_is_gone_stops_the_trainer_and_goes_on_where_it_was_when_it_is_back(
    kafka: str, tmp_path: Path
) -> None:
    one, other = Topic(kafka), Topic(kafka)
    one.write(events(20))
    other.write(events(30, 20))

    def both() -> KafkaSource:
        return KafkaSource(KafkaOptions(bootstrap_servers=kafka, topics=[one.name, other.name]))

    learned(tmp_path, both(), 50)
    refused(tmp_path, one, f"{other.name}/0, up to offset 30, which the source does not have")
    learned(tmp_path, one.source(), 50, accept_loss=True)
    assert [loss[2:6] for loss in meta_of(tmp_path).losses] == [("gone", 30, 30, 0)]
    one.write(events(5, 50))
    other.write(events(5, 60))
    learned(tmp_path, one.source(), 55)
    learned(tmp_path, both(), 60)
    assert {p.topic: p.next for p in meta_of(tmp_path).positions} == {one.name: 25, other.name: 35}


def test_a_partition_added_while_it_runs_is_read_from_its_start_and_kept(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    topic.write(events(30))
    with learning(tmp_path, topic.source()) as running:
        running.until(30)
        topic.grow(3)
        topic.write(events(20, 30), partition=2)
        topic.write(events(10, 50))
        running.until(60)
        running.until_positions({Partition(topic.name, 0): 40, Partition(topic.name, 1): 0, Partition(topic.name, 2): 20})
    meta = meta_of(tmp_path)
    assert [(p.partition, p.next) for p in meta.positions] == [(0, 40), (1, 0), (2, 20)]
    assert len({p.topic_id for p in meta.positions}) == 1
    with learning(tmp_path, topic.source()) as running:
        counted = running.trainer._live.memory.state.partitions.events[:3]
        assert np.array_equal(counted, [40, 0, 20])
        topic.write(events(7, 60), partition=1)
        running.until(67)


def test_partitions_added_to_two_topics_keep_their_rows_apart(kafka: str, tmp_path: Path) -> None:
    first, last = sorted((Topic(kafka), Topic(kafka)), key=lambda topic: topic.name)
    first.write(events(10))
    last.write(events(20, 10))
    options = KafkaOptions(bootstrap_servers=kafka, topics=[first.name, last.name])
    with learning(tmp_path, KafkaSource(options)) as running:
        running.until(30)
        for topic in (first, last):
            topic.grow(2)
        first.write(events(4, 30), partition=1)
        last.write(events(5, 40), partition=1)
        running.until(39)
        first.write(events(1, 50))
        last.write(events(2, 60))
        running.until(42)
    wanted = {(first.name, 0): 11, (first.name, 1): 4, (last.name, 0): 22, (last.name, 1): 5}
    assert {(p.topic, p.partition): p.next for p in meta_of(tmp_path).positions} == wanted
    learned(tmp_path, KafkaSource(options), 42)


def test_the_same_model_comes_of_a_partition_added_early_or_late(kafka: str, tmp_path: Path) -> None:
    digests = set()
    for name in ("running", "restarted"):
        topic = Topic(kafka)
        topic.write(events(30))
        with learning(tmp_path / name, topic.source()) as running:
            running.until(30)
            if name == "running":
                topic.grow(2)
                topic.write(events(20, 30), partition=1)
                running.until(50)
        if name == "restarted":
            topic.grow(2)
            topic.write(events(20, 30), partition=1)
            learned(tmp_path / name, topic.source(), 50)
        with Store.open_readonly(tmp_path / name / "store") as store:
            digests.add(digest(store, "users"))
    assert len(digests) == 1


def test_nothing_of_an_aborted_transaction_is_learned_and_markers_are_no_lag(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    producer = Producer({"bootstrap.servers": kafka, "log_level": 2, "transactional.id": topic.name})
    producer.init_transactions(60)

    def transaction(prefix: str, count: int) -> None:
        producer.begin_transaction()
        for event in events(count, prefix=prefix):
            producer.produce(topic.name, encode_json(event), event.user.encode(), timestamp=event.ts or 0)
        producer.flush(20)

    with learning(tmp_path, topic.source()) as running:
        for prefix, end in (("kept", True), ("aborted", False), ("kept", True), ("aborted", False)):
            transaction(prefix, 13)
            (producer.commit_transaction if end else producer.abort_transaction)(30)
        running.until(26)
        running.until_positions({Partition(topic.name, 0): 4 * 14})
        transaction("open", 13)
        assert running.trainer._source.standing().readable == {Partition(topic.name, 0): 4 * 14}
        producer.abort_transaction(30)
        running.until_positions({Partition(topic.name, 0): 5 * 14})
        running.until(26)
        users = running.trainer._live.users
        assert users.count == 13
        assert set(users.rows(["aborted1", "open1"]).tolist()) == {-1}
    meta = meta_of(tmp_path)
    assert (meta.events, [p.next for p in meta.positions]) == (26, [70])


def test_the_last_positions_are_shown_to_lag_tools_when_a_trainer_stops(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka, 2)
    topic.write(events(30))
    topic.write(events(12, 30), partition=1)
    learned(tmp_path, topic.source(), 42)
    assert topic.advised(2) == {Partition(topic.name, 0): 30, Partition(topic.name, 1): 12}
