"""StreamMF as users run it: the commands, as processes of their own.

Rules of this file:
1. Every process started here is ended here, whatever the test does.
2. Settings go by the environment, so a test's folder holds all that its processes write.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from streammf.serving.client import Client
from tests.waiting import wait_for

#: Seconds; the first start on a machine compiles the kernels.
START = 180.0


def settings(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which everything stands in `folder`; `more`: section__key = value."""
    own = {
        "source__kind": "log",
        "source__path": str(folder / "log"),
        "store__path": str(folder / "store"),
        "live__path": str(folder / "live"),
        "serving__port": "0",
        "serving__workers": "2",
        "telemetry__port": "0",
        "telemetry__workers_port": "0",
        **more,
    }
    return {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")} | {
        f"STREAMMF_{key}".upper(): value for key, value in own.items()
    }


def streammf(*arguments: str, environment: Mapping[str, str], seconds: float = START) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streammf", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Running:
    """A long-lived command and what it says."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path | None) -> None:
        self.lines: list[str] = []
        """stdout and stderr, line by line."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streammf", *arguments],
            env=dict(environment),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> "Running":
        """Once it says so."""
        wait_for(lambda: self._ready_line or self._ended, "ready", START)
        assert self._ready_line, self.lines
        return self

    @property
    def address(self) -> str:
        """Where its workers answer."""
        return next(word.rstrip(";,") for word in self._ready_line.split() if word.startswith("127.0.0.1:"))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        code = self._process.wait(60)
        self._listener.join(10)
        return code

    def end(self) -> None:
        """However it stands, it is gone after this, and its children with it: they end with their parent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)

    @property
    def _ready_line(self) -> str:
        return next((line for line in list(self.lines) if line.startswith("ready")), "")

    @property
    def _ended(self) -> bool:
        return self._process.poll() is not None and not self._listener.is_alive()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self._process.stdout)


@contextmanager
def running(*arguments: str, environment: Mapping[str, str], cwd: Path | None = None) -> Iterator[Running]:
    """A command while the block runs."""
    process = Running(arguments, environment, cwd)
    try:
        yield process
    finally:
        process.end()


def until_events(client: Client, events: int, seconds: float = 120.0) -> None:
    """Wait until exactly so many events are applied; more fail at once."""

    def reached() -> bool:
        applied = client.info().events
        assert applied <= events, f"{applied} events applied, {events} exist"
        return applied == events

    wait_for(reached, f"{events} events applied", seconds)
