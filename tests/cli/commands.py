"""Commands as a shell runs them: other processes, in a folder and an environment of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

#: Seconds; the first start after an installation compiles kernels.
PATIENCE = 100.0


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, without any setting of ours; metrics are asked for at any free port."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("STREAMMF_")}
    any_port = {"STREAMMF_TELEMETRY__PORT": "0", "STREAMMF_TELEMETRY__WORKERS_PORT": "0"}
    return others | any_port | dict(more or {})


def streammf(folder: Path, *arguments: str, text: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streammf", *arguments],
        cwd=folder,
        env=environment(settings),
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    """What a command with --json says; it must end well."""
    done = streammf(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


class Running:
    """A command that goes on until it is told to stop."""

    def __init__(self, process: subprocess.Popen[str], output: Path, errors: Path) -> None:
        self.process = process
        self._output = output
        self._errors = errors

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def ready(self) -> str:
        """Wait for the line that says so."""

        def line() -> str:
            assert self.process.poll() is None, f"it ended: {self.errors}"
            return next((line for line in self.output.splitlines() if line.startswith("ready ")), "")

        return wait_for(line, "the command's ready line", PATIENCE)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait: its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator[Running]:
    """Start a command; whatever happens, it is gone afterwards."""
    output, errors = folder / "stdout", folder / "stderr"
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "streammf", *arguments],
            cwd=folder,
            env=environment(settings),
            stdout=out,
            stderr=err,
            text=True,
        )
    try:
        yield Running(process, output, errors)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
