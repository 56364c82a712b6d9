"""A broker that comes and goes under real trainer processes, and a trainer that is told to stop under load."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from tests.integration.broker import LocalBroker
from tests.integration.kafka_topics import Topic, events
from tests.integration.processes import Running, running, settings, streammf
from tests.integration.scrapes import page, value
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
#: s: a killed broker needs some to come back, and a busy machine some more.
PATIENCE = 120.0


def environment(folder: Path, topic: Topic, **more: str) -> dict[str, str]:
    """A trainer on the topic, whose metrics stand at a port that is known before it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = settings(
        folder,
        source__kind="kafka",
        source__bootstrap_servers=topic.options.bootstrap_servers,
        source__topics=f'["{topic.name}"]',
        telemetry__port=str(port),
        trainer__commit_seconds="0.1",
        **more,
    )
    del found["STREAMMF_SOURCE__PATH"]
    return found


def address(of: dict[str, str]) -> str:
    return f"127.0.0.1:{of['STREAMMF_TELEMETRY__PORT']}"


def number(of: dict[str, str], name: str, **labels: str) -> float:
    return value(page(address(of), "/metrics").text, f"streammf_{name}", **labels)


def until_committed(of: dict[str, str], count: int) -> None:
    wait_for(lambda: number(of, "committed_events") >= count, f"{count} events in a commit", PATIENCE, 0.05)


def stopped(process: Running) -> int:
    """SIGTERM: how many events are durable at its clean end."""
    process.send(signal.SIGTERM)
    assert process.wait() == ExitCode.DONE, process.lines
    found = re.fullmatch(r"stopped; ([\d,]+) events are durable", process.lines[-1])
    assert found, process.lines
    return int(found[1].replace(",", ""))


def digest_of(of: dict[str, str]) -> str:
    done = streammf("snapshot", "digest", environment=of)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def digest_of_another(folder: Path, topic: Topic, count: int) -> str:
    """Of a trainer that reads the whole topic and is not disturbed."""
    of = environment(folder, topic)
    with running("train", environment=of) as trainer:
        trainer.ready()
        until_committed(of, count)
        assert stopped(trainer) == count
    return digest_of(of)


@contextmanager
def written_meanwhile(topic: Topic, count: int, first: int) -> Iterator[None]:
    """These events are written, a few at a time, while the block runs; all of them are when it ends."""

    def write() -> None:
        for at in range(first, first + count, 100):
            topic.write(events(100, at))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        writer.join(PATIENCE)
        assert not writer.is_alive()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_trainer_that_starts_while_the_broker_is_away_waits_for_it_and_goes_on(
    own_kafka: LocalBroker, tmp_path: Path
) -> None:
    topic = Topic(own_kafka.address)
    topic.write(events(30))
    of = environment(tmp_path, topic, source__connect_seconds="0.5")
    with running("train", environment=of) as trainer:
        trainer.ready()
        until_committed(of, 30)
        assert stopped(trainer) == 30
    own_kafka.stop()
    refused = streammf("train", environment=environment(tmp_path / "other", topic, source__connect_seconds="0.5"))
    assert refused.returncode == ExitCode.SOURCE, "nobody has learned from there yet: it may be the wrong address"
    with running("train", environment=of) as trainer:
        waits = "not ready: the trainer waits for the log"
        said = wait_for(lambda: text if waits in (text := page(address(of), "/readyz").text) else "", waits, PATIENCE)
        assert re.search("not ready: the log cannot be reached: .*refused", said)
        used, begun = processor_seconds(trainer.pid), time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 4, "4 seconds")
        assert processor_seconds(trainer.pid) - used < 0.4 * (time.monotonic() - begun), "a busy loop"
        own_kafka.start()
        topic.write(events(20, 30))
        trainer.ready()
        until_committed(of, 50)
        assert stopped(trainer) == 50
    assert digest_of(of) == digest_of_another(tmp_path / "whole", topic, 50)


def test_a_trainer_that_waits_for_the_broker_stops_when_told_to(own_kafka: LocalBroker, tmp_path: Path) -> None:
    topic = Topic(own_kafka.address)
    topic.write(events(30))
    of = environment(tmp_path, topic, source__connect_seconds="0.5")
    with running("train", environment=of) as trainer:
        trainer.ready()
        until_committed(of, 30)
        stopped(trainer)
    own_kafka.stop()
    with running("train", environment=of) as trainer:
        wait_for(lambda: "waits for the log" in page(address(of), "/readyz").text, "the wait", PATIENCE)
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == ExitCode.DONE
    own_kafka.start()


def test_a_broker_that_is_killed_again_and_again_under_load_costs_no_event(own_kafka: LocalBroker, tmp_path: Path) -> None:
    topic = Topic(own_kafka.address)
    of = environment(tmp_path, topic)
    with running("train", environment=of) as trainer:
        trainer.ready()
        for round_ in range(3):
            with written_meanwhile(topic, 1_000, 1_000 * round_):
                until_committed(of, 1_000 * round_ + 100)
                own_kafka.kill()
                down = "not ready: the log cannot be reached: .*refused"
                wait_for(lambda d=down: re.search(d, page(address(of), "/readyz").text), "the reason", PATIENCE, 0.1)  # type: ignore[misc]
                own_kafka.start()
            until_committed(of, 1_000 * (round_ + 1))
        wait_for(lambda: page(address(of), "/readyz") == (200, "ready\n"), "ready", PATIENCE, 0.1)
        assert number(of, "events_total", outcome="already_applied") == 0
        assert number(of, "process_starts_total", process="trainer") == 1
        assert stopped(trainer) == 3_000
    assert digest_of(of) == digest_of_another(tmp_path / "whole", topic, 3_000)


def test_a_trainer_told_to_stop_under_load_commits_what_it_applied_and_says_so_to_lag_tools(kafka: str, tmp_path: Path) -> None:
    topic = Topic(kafka)
    of = environment(tmp_path, topic, trainer__batch="64")
    durable = []
    with written_meanwhile(topic, 4_000, 0):
        for least in (500, 2_000):
            with running("train", environment=of) as trainer:
                trainer.ready()
                until_committed(of, least)
                begun = time.monotonic()
                durable.append(stopped(trainer))
                assert time.monotonic() - begun < 30
                assert list(topic.advised().values()) == [durable[-1]]
    assert durable[0] < durable[1]
    with running("train", environment=of) as trainer:
        trainer.ready()
        until_committed(of, 4_000)
        assert stopped(trainer) == 4_000
    assert digest_of(of) == digest_of_another(tmp_path / "whole", topic, 4_000)
