"""Trainer and workers as real processes, on the embedded log, with nothing configured but where they live."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from tests.cli.commands import answer, running, streammf
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)  # the first start after a change of a kernel compiles for half a minute


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of its own; live memory stands in it, and goes with it."""
    (tmp_path / "streammf.toml").write_text(f'[live]\npath = "{tmp_path / "live"}"\nmost_users = 1000\nmost_items = 1000\n')
    yield tmp_path
    shutil.rmtree(tmp_path / "live", ignore_errors=True)


def address_of(line: str) -> str:
    return next(word.rstrip(";,") for word in line.split() if word.startswith("127.0.0.1:"))


def events(folder: Path, address: str) -> int:
    return int(answer(folder, "query", "info", "--address", address)["events"])


def test_a_tracked_event_is_learned_and_survives_the_trainers_death_and_a_restart(folder: Path) -> None:
    with running(folder, "up", "--port", "0") as up:
        address = address_of(up.ready())
        answer(folder, "track", "--user", "ann", "--item", "film-1")
        wait_for(lambda: events(folder, address) == 1, "the event in the model")
        os.kill(answer(folder, "query", "info", "--address", address)["trainer_pid"], signal.SIGKILL)
        wait_for(lambda: "trainer is ready again" in up.errors, "a new trainer")
        answer(folder, "track", "--user", "ann", "--item", "film-2")
        wait_for(lambda: events(folder, address) == 2, "the second event in the model")
        assert up.stop() == 0
    assert "killed by SIGKILL" in up.errors
    with running(folder, "up", "--port", "0", "--workers", "1") as up:
        assert events(folder, address_of(up.ready())) == 2
        assert up.stop(signal.SIGINT) == 0


def test_a_trainer_that_cannot_start_is_reported_with_its_own_code(folder: Path) -> None:
    with running(folder, "train") as trainer:
        trainer.ready()
        done = streammf(folder, "up", "--port", "0")
        assert done.returncode == ExitCode.STORE_BUSY
        first, last = done.stderr.splitlines()
        assert first.startswith("starting a trainer on the embedded log streammf-data/log, then 2 query workers at 127.0.0.1:")
        assert last.startswith(f"streammf: trainer: the store streammf-data/store is owned by process {trainer.process.pid}")
        assert trainer.errors.startswith("starting a trainer on the embedded log streammf-data/log\n")
        assert trainer.stop() == 0
    assert "0 events are durable" in trainer.output
    done = streammf(folder, "up", "--port", "0", STREAMMF_LEARNING__FACTROS="3")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "did you mean factors?" in done.stderr


def test_a_file_is_learned_to_its_end_and_served_on(folder: Path) -> None:
    (folder / "events.csv").write_text("user,item,value,timestamp\na,x,1,1704067200\nb,x,1,1704067201\n")
    with running(folder, "up", "--source", "file", "--path", "events.csv", "--port", "0") as up:
        address = address_of(up.ready())
        wait_for(lambda: "trainer finished" in up.errors, "the end of the file")
        assert events(folder, address) == 2
        assert up.stop() == 0


def test_workers_alone_may_start_before_any_trainer(folder: Path) -> None:
    with running(folder, "serve", "--workers", "2", "--port", "0") as serve:
        address = address_of(serve.ready())
        assert serve.errors.startswith(f"starting 2 query workers at {address}\n")
        done = streammf(folder, "query", "health", "--json", "--address", address)
        assert done.returncode == ExitCode.NO_MODEL
        assert json.loads(done.stdout)["status"] == "no_model"
        assert serve.stop() == 0
