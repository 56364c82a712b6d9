"""A bad record's whole way: set aside, sent on, mended, requeued and learned from. Real processes, and a real broker."""

import json
import signal
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message

from streammf.errors import ExitCode
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import KafkaSink, create_topic
from streammf.events.log import LogSink
from streammf.serving.client import Client
from tests.integration.processes import running, settings, streammf, until_events
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)
TIME = 1_700_000_000_000
BAD = b'{"user":"u","item":"mended","type":"shout"}'


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_was_set_aside_is_in_the_file_and_is_learned_once_it_is_mended(tmp_path: Path) -> None:
    dead = tmp_path / "dead.jsonl"
    environment = settings(tmp_path, dead_letters__path=str(dead))
    with closing(LogSink(tmp_path / "log", create=True)) as sink:
        for n in range(20):
            sink.append(b"u", b'{"user":"u","item":"i%d"}' % n, TIME)
        sink.append(b"u", BAD, TIME)
        sink.append(None, b"\xff", TIME)
    with running("up", environment=environment) as up:
        until_events(Client(up.ready().address), 20)
        wait_for(lambda: len(lines(dead)) == 2, "both dead letters in the file")
        busy = streammf("quarantine", "requeue", "--edited", str(dead), environment=environment)
        assert busy.returncode == ExitCode.STORE_BUSY
    first, second = lines(dead)
    assert (first["number"], first["offset"], first["reason"], second["base64"]) == (0, 20, "unknown_type", "/w==")
    dead.write_text(json.dumps({"number": 0, "value": {**first["value"], "type": "click"}}))  # type: ignore[dict-item]
    done = streammf("quarantine", "requeue", "--edited", str(dead), environment=environment)
    assert done.stdout == f"1 records requeued to the embedded log {tmp_path / 'log'}\n", done.stderr
    assert streammf("quarantine", "drop", "--reason", "malformed", environment=environment).stdout == "1 records dropped\n"
    with running("up", environment=environment) as up:
        client = Client(up.ready().address)
        until_events(client, 21)
        assert "mended" in [each.item for each in client.recommend("someone else", k=30)]
    assert streammf("quarantine", "list", environment=environment).stdout == ""
    assert len(lines(dead)) == 1, "nothing is sent twice by a new start"


def consumed(address: str, topic: str, count: int) -> list[Message]:
    """The records of a topic, from its beginning, once there are so many."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Message] = []

    def enough() -> bool:
        found.extend(message for message in consumer.consume(100, 0.1) if not message.error())
        return len({message.key() for message in found}) >= count

    with closing(consumer):
        wait_for(enough, f"{count} records in {topic}", 60)
    return found


@pytest.mark.kafka
def test_a_topic_gets_key_value_and_time_as_they_were_and_connects_headers_through_kills(tmp_path: Path, kafka: str) -> None:
    topic = f"bad-{uuid.uuid4().hex}"
    options = KafkaOptions(bootstrap_servers=kafka, topics=[topic])
    for name in (topic, f"{topic}-dead"):
        create_topic(options, name, 1)
    environment = settings(
        tmp_path,
        source__kind="kafka",
        source__bootstrap_servers=kafka,
        source__topics=f'["{topic}"]',
        dead_letters__topic=f"{topic}-dead",
    )
    del environment["STREAMMF_SOURCE__PATH"]
    with running("train", environment=environment) as first:
        first.ready()
        with closing(KafkaSink(options)) as sink:
            for n in range(500):
                sink.append(b"%d" % n, b"bad %d" % n, TIME + n)
        consumed(kafka, f"{topic}-dead", 1)
        first.send(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    with running("train", environment=environment) as second:
        second.ready()
        found = consumed(kafka, f"{topic}-dead", 500)
        second.send(signal.SIGTERM)
        assert second.wait() == 0
    by_key = {message.key(): message for message in found}
    assert {key: message.value() for key, message in by_key.items()} == {b"%d" % n: b"bad %d" % n for n in range(500)}
    told = by_key[b"7"]
    assert told.timestamp()[1] == TIME + 7
    headers = dict(told.headers() or [])
    assert headers["__connect.errors.topic"] == topic.encode()
    assert (headers["__connect.errors.partition"], headers["__connect.errors.offset"]) == (b"0", b"7")
    assert headers["__connect.errors.exception.class.name"] == b"streammf.malformed"
    assert headers["__connect.errors.exception.message"] == b"neither a JSON object nor a MessagePack map"


@pytest.mark.kafka
def test_a_dead_letter_topic_that_is_not_there_or_is_read_from_ends_the_start(tmp_path: Path, kafka: str) -> None:
    topic = f"bad-{uuid.uuid4().hex}"
    create_topic(KafkaOptions(bootstrap_servers=kafka, topics=[topic]), topic, 1)
    environment = settings(
        tmp_path,
        source__kind="kafka",
        source__bootstrap_servers=kafka,
        source__topics=f'["{topic}"]',
        source__connect_seconds="3",
    )
    del environment["STREAMMF_SOURCE__PATH"]
    for name, code in (("no-such-topic", ExitCode.SOURCE), (topic, ExitCode.CONFIGURATION)):
        done = streammf("train", environment=environment | {"STREAMMF_DEAD_LETTERS__TOPIC": name})
        assert done.returncode == code, done.stderr
        assert name in done.stderr
