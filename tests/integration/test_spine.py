"""The whole way of an event, with real processes: a log in, learned while it is asked, counted to the last event."""

import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import create_topic
from streammf.serving.client import Client
from tests.integration.logs import Log, rating_log
from tests.integration.processes import running, settings, streammf, until_events
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


def learn_query_and_start_again(environment: dict[str, str], log: Log, replay: Callable[[], None]) -> None:
    """Replay while `up` runs; it answers meanwhile; every event is applied once, also after a stop and a new start."""
    with running("up", environment=environment) as up, ThreadPoolExecutor(2) as others:
        client = Client(up.ready().address)
        assert client.recommend(log.user).reason == "empty_model"
        meanwhile = others.submit(answers_meanwhile, up.address, log)
        replaying = others.submit(replay)
        wait_for(lambda: client.info().events, "the first event")
        ask = ["query", "recommend", "--user", log.user, "-k", "10", "--json", "--address", up.address]
        asked = streammf(*ask, environment=environment)
        assert asked.returncode == 0, asked.stderr
        assert len(json.loads(asked.stdout)["items"]) == 10
        replaying.result(120)
        until_events(client, log.events)
        assert meanwhile.result(60) > 0, "answers while it learns"
        before = client.recommend(log.user, k=20)
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.lines
    with running("up", environment=environment) as up:
        client = Client(up.ready().address)
        until_events(client, log.events, seconds=10)
        again = client.recommend(log.user, k=20)
        assert (again.items, again.position) == (before.items, before.position)
        info = client.info()
        assert (info.events, info.committed, info.rejected) == (log.events, log.events, 0)


def answers_meanwhile(address: str, log: Log) -> int:
    """Ask again and again until everything is learned: how many full answers included some of the events, not all."""
    full = 0
    with Client(address) as client:
        while (answer := client.recommend(log.user, k=10)).events < log.events:
            full += answer.events > 0 and len(answer) == 10
    return full


def replayed(log: Log, environment: dict[str, str], *arguments: str) -> None:
    done = streammf("replay", str(log.path), *arguments, "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["written"] == log.events


def test_a_replayed_log_is_learned_exactly_once_through_the_embedded_log(tmp_path: Path) -> None:
    log, environment = rating_log(tmp_path), settings(tmp_path)
    learn_query_and_start_again(environment, log, lambda: replayed(log, environment, "--to", "log"))


@pytest.mark.kafka
def test_a_replayed_log_is_learned_exactly_once_through_a_topic_of_four_partitions(tmp_path: Path, kafka: str) -> None:
    log, topic = rating_log(tmp_path), f"spine-{uuid4().hex[:8]}"
    environment = settings(tmp_path, source__kind="kafka", source__bootstrap_servers=kafka, source__topics=f'["{topic}"]')
    del environment["STREAMMF_SOURCE__PATH"]
    create_topic(KafkaOptions(bootstrap_servers=kafka, topics=[topic]), topic, 4)
    learn_query_and_start_again(environment, log, lambda: replayed(log, environment, "--to", "kafka"))
    with running("up", environment=environment) as up:
        positions = Client(up.ready().address).info().position
    assert len(positions) == 4
    assert sum(next_ for _, _, next_ in positions) == log.events
