"""The worker as a process: before the trainer, beside it, after it, and told to stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streammf.errors import ExitCode, NoModelError
from streammf.learning.compiling import ready
from streammf.serving.client import Client
from tests.serving.live_models import LiveModel, two_tastes
from tests.serving.running import PATIENCE
from tests.waiting import wait_for

PROGRAM = """
import sys
from pathlib import Path
from streammf.serving.options import ServingOptions
from streammf.serving.worker import run_worker
options = ServingOptions(port=int(sys.argv[2]))
run_worker(Path(sys.argv[1]), options, lambda host, port: print(f"{host}:{port}", flush=True))
"""


@contextmanager
def working(base: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A worker in a process of its own."""
    ready()  # so that the worker finds the kernels compiled
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(base), str(port)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_a_worker_starts_before_the_trainer_follows_it_and_outlives_it(tmp_path: Path) -> None:
    base = tmp_path / "live"
    with working(base) as (address, process), Client(address) as client:
        health = client.health()
        assert (health.status, health.ready) == ("no_model", False)
        assert str(base) in (health.reason or "")
        with pytest.raises(NoModelError, match=r"start the trainer"):
            client.recommend("red 0")

        live = two_tastes(base)
        assert client.health().status == "ok"
        before = client.recommend("red 0", k=24)
        click = before.items[0].item
        live.learn([("red 0", click)]).publish()
        after = client.recommend("red 0", k=24, at_least=[("events", 0, live.model.events)])
        assert click not in [item.item for item in after]
        assert after.events == before.events + 1

        live.writer.close()
        assert client.health().trainer == "stopped"
        assert len(client.recommend("red 0")) == 10

        LiveModel(base).learn([("ann", "a"), ("bob", "b")]).publish()
        assert [item.item for item in client.recommend("ann")] == ["b"]
        assert client.info().generation == 2
        assert client.info().pid == process.pid


def test_a_worker_that_is_told_to_stop_ends_well(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        live = two_tastes(tmp_path / str(number))
        with working(live.base) as (address, process), Client(address) as client:
            assert client.health().ready
            process.send_signal(number)
            assert process.wait(PATIENCE) == ExitCode.DONE


def test_two_workers_share_a_port_and_a_killed_one_is_not_missed(tmp_path: Path) -> None:
    live = two_tastes(tmp_path)
    with working(live.base) as (address, one), working(live.base, int(address.rpartition(":")[2])) as (again, two):
        assert again == address

        def pid() -> int:
            with Client(address) as client:
                return client.info().pid

        wait_for(lambda: pid() == one.pid, "the first worker answers")
        wait_for(lambda: pid() == two.pid, "the second worker answers")
        with Client(address) as client:
            first = client.info().pid
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            assert client.info().pid == ({one.pid, two.pid} - {first}).pop()
