"""The switch that accepts a log's losses, as users meet it: exit code, message, metric, and what a later start does."""

import signal
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.events.codec import encode_json
from streammf.events.log import LogSink
from tests.integration.kafka_topics import events, meta_of
from tests.integration.processes import running, settings, streammf
from tests.integration.scrapes import page, value
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


def write(folder: Path, count: int, first: int) -> None:
    sink = LogSink(folder, create=True)
    for event in events(count, first):
        sink.append(event.user.encode(), encode_json(event), event.ts or 0)
    sink.close()


def learned(count: int, *arguments: str, environment: dict[str, str]) -> str:
    """Train until so many events are durable, and stop; the metrics just before."""
    with running("train", *arguments, environment=environment) as trainer:
        ready = next(line for line in trainer.ready().lines if line.startswith("ready"))
        address = next(word for word in ready.split() if word.endswith("/metrics")).split("/")[2]
        done = f"{count} events"
        wait_for(lambda: value(page(address, "/metrics").text, "streammf_committed_events") == count, done, 60)
        text = page(address, "/metrics").text
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == ExitCode.DONE
    return text


def test_a_lost_log_stops_the_trainer_with_its_own_exit_code_until_the_switch_accepts_it(tmp_path: Path) -> None:
    environment = settings(tmp_path)
    write(tmp_path / "log", 30, 0)
    learned(30, environment=environment)
    (tmp_path / "log").rename(tmp_path / "lost")
    write(tmp_path / "log", 20, 100)
    for command in ("train", "up"):
        refused = streammf(command, environment=environment)
        assert refused.returncode == ExitCode.DATA_LOSS, refused.stderr
        last = refused.stderr.splitlines()[-1]
        for said in ("log/0 is not the log", "the 20 events of the new one", "--on-data-loss accept", "source.on_data_loss"):
            assert said in last
    assert meta_of(tmp_path).losses == []
    text = learned(50, "--on-data-loss", "accept", environment=environment)
    assert value(text, "streammf_accepted_losses_total", reason="recreated") == 1
    assert value(text, "streammf_lost_events_total", reason="recreated") == 20
    losses = meta_of(tmp_path).losses
    assert [loss[:6] for loss in losses] == [("log", 0, "recreated", 30, 0, 20)]
    write(tmp_path / "log", 5, 200)
    learned(55, environment=environment)
    assert meta_of(tmp_path).losses == losses


def test_what_the_switch_takes_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    done = streammf("train", "--on-data-loss", "skip", environment=settings(tmp_path))
    assert done.returncode == ExitCode.USAGE
    assert "'stop'" in done.stderr
    assert "'accept'" in done.stderr
    done = streammf("train", environment=settings(tmp_path, source__on_data_loss="skip"))
    assert done.returncode == ExitCode.CONFIGURATION
    assert 'one of "accept", "stop"' in done.stderr
