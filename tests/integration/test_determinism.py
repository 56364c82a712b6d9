"""The same log gives the same bytes, however it is cut and whatever dies on the way."""

import os
import signal
from pathlib import Path

import pytest

from streammf.serving.client import Client
from tests.integration.logs import made_up_log, rating_log
from tests.integration.processes import running, settings, streammf
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


def file_settings(folder: Path, log: Path, **more: str) -> dict[str, str]:
    return settings(folder, source__kind="file", source__path=str(log), **more)


def digest_of(environment: dict[str, str]) -> str:
    done = streammf("snapshot", "digest", environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def trained_digest(folder: Path, log: Path, **more: str) -> str:
    environment = file_settings(folder, log, **more)
    done = streammf("train", environment=environment)
    assert done.returncode == 0, done.stderr
    return digest_of(environment)


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_batches_of_any_size_give_the_same_digest(tmp_path: Path, objective: str) -> None:
    small, whole = made_up_log(tmp_path, 3_000), rating_log(tmp_path)
    learning = {"learning__objective": objective}
    ones, sevens = (
        trained_digest(tmp_path / str(batch), small.path, **learning, trainer__batch=str(batch)) for batch in (1, 7)
    )
    assert ones == sevens
    thousands, at_once = (
        trained_digest(tmp_path / f"whole-{batch}", whole.path, **learning, trainer__batch=str(batch))
        for batch in (1_000, 100_000)
    )
    assert thousands == at_once
    assert ones == trained_digest(tmp_path / "all", small.path, **learning, trainer__batch="100000")


def test_a_trainer_killed_in_the_middle_ends_with_the_same_digest(tmp_path: Path) -> None:
    log = rating_log(tmp_path)
    wanted = trained_digest(tmp_path / "whole", log.path)
    environment = file_settings(
        tmp_path / "killed",
        log.path,
        trainer__batch="200",
        trainer__commit_events="1000",
        trainer__commit_seconds="0.05",
    )
    kills = 0
    with running("serve", "--workers", "1", environment=environment) as server:
        client = Client(server.ready().address)
        for share in (0.2, 0.5, 0.8):
            with running("train", environment=environment) as trainer:
                wait_for(lambda s=share: client.info().committed >= s * log.events, f"{share:.0%} learned", 180, 0.002)  # type: ignore[misc]
                os.kill(trainer.pid, signal.SIGKILL)
                kills += trainer.wait() == -signal.SIGKILL
    assert kills == 3
    done = streammf("train", environment=environment)
    assert done.returncode == 0, done.stderr
    assert f"{log.events:,} events are durable" in done.stdout
    assert digest_of(environment) == wanted
