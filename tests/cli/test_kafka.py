"""Replaying and tracking into a real broker."""

import uuid
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streammf.errors import ExitCode
from streammf.events.kafka import KafkaOptions, KafkaSource
from tests.cli.commands import answer, streammf

pytestmark = pytest.mark.kafka

USERS = [f"user{n % 7}" for n in range(100)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"{user},item{n},1,{1_000_000_000 + n}\n" for n, user in enumerate(USERS)]
    (tmp_path / "events.csv").write_text("user,item,value,timestamp\n" + "".join(rows))
    return tmp_path


@pytest.fixture
def topic() -> str:
    return f"replayed-{uuid.uuid4().hex}"


def test_a_replay_makes_the_topic_it_is_told_to_and_keeps_each_users_order(kafka: str, folder: Path, topic: str) -> None:
    target = ["--to", "kafka", "--bootstrap", kafka, "--topic", topic]
    refused = streammf(folder, "replay", "events.csv", *target)
    assert refused.returncode == ExitCode.SOURCE
    assert topic in refused.stderr
    assert answer(folder, "replay", "events.csv", *target, "--create", "4")["written"] == 100
    with closing(KafkaSource(KafkaOptions(bootstrap_servers=kafka, topics=[topic]))) as source:
        assert len(source.partitions) == 4
        keys: list[tuple[int, bytes, int]] = []
        while len(keys) < 100:
            records = source.poll(100, 10)
            assert records is not None
            for i, partition in enumerate(records.partitions.tolist()):
                keys.append((partition, records.key(i) or b"", records.timestamp(i)))
    assert {moment for *_, moment in keys} == {(1_000_000_000 + n) * 1000 for n in range(100)}
    assert len({(partition, key) for partition, key, _ in keys}) == 7, "one partition a user"
    for user in set(USERS):
        moments = [moment for _, key, moment in keys if key.decode() == user]
        assert moments == sorted(moments)


def test_a_topic_that_would_delete_old_events_at_once_is_refused_with_the_remedy(kafka: str, folder: Path, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(topic, 1, config={"retention.ms": "604800000"})]).values():
        future.result(10)
    done = streammf(folder, "replay", "events.csv", "--to", "kafka", "--bootstrap", kafka, "--topic", topic)
    assert done.returncode == ExitCode.SOURCE
    assert "retention.ms=-1" in done.stderr


def test_a_tracked_event_is_acknowledged_with_its_place(kafka: str, folder: Path, topic: str) -> None:
    target = ["--bootstrap", kafka, "--topic", topic]
    answer(folder, "replay", "events.csv", "--to", "kafka", *target, "--create", "1", "--limit", "1")
    again = streammf(folder, "replay", "events.csv", "--to", "kafka", *target, "--create", "3", "--limit", "1")
    assert f"topic {topic} is there already" in again.stderr
    assert answer(folder, "track", "--source", "kafka", *target, "--user", "ann", "--item", "x") == {
        "written": 1,
        "refused": 0,
        "offsets": [[topic, 0, 2]],
    }
