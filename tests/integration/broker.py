"""Real Kafka brokers for the tests.

Rules of this file:
1. The broker is the one that STREAMMF_TEST_KAFKA names, else a container where a Docker daemon answers and
   testcontainers is installed, else the one of scripts/kafka (Java and Maven).
2. No broker is a skip that names the reason, and a failure where CI is set: there it must not pass silently.
3. Whatever is started here is ended here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.programs import missing
from tests.waiting import wait_for

SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka"
#: Seconds; the first start fetches 45 MB.
LONGEST_START = 600


class LocalBroker:
    """A broker of scripts/kafka in a folder of its own; stopped or killed, it goes on from its data and ports."""

    sasl_user, sasl_password = "alice", "alice-secret"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> "LocalBroker":
        done = self._run("start", LONGEST_START)
        if done.returncode:
            missing(f"no Kafka broker for the tests: {done.stderr.strip()}")
        return self

    def stop(self) -> None:
        """A clean end."""
        assert self._run("stop", 60).returncode == 0

    def kill(self) -> None:
        """An end without warning."""
        process = Path(f"/proc/{self._kept()['pid']}/cmdline")
        os.kill(self._kept()["pid"], signal.SIGKILL)
        wait_for(lambda: not process.exists() or not process.read_bytes(), "the end of the killed broker")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._kept()['plain']}"

    @property
    def sasl_address(self) -> str:
        """The listener that wants SASL/PLAIN with `sasl_user` and `sasl_password`, without TLS."""
        return f"127.0.0.1:{self._kept()['sasl']}"

    def _kept(self) -> dict[str, int]:
        return dict(json.loads((self.folder / "broker.json").read_text()))

    def _run(self, command: str, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, SCRIPT, command, "--folder", self.folder],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@contextmanager
def local_broker(folder: Path) -> Iterator[LocalBroker]:
    """A broker that a test may stop, kill and start."""
    broker = LocalBroker(folder)
    try:
        yield broker.start()
    finally:
        broker.stop()


@contextmanager
def any_broker(folder: Path) -> Iterator[str]:
    """The address of a broker that stays up."""
    if given := os.environ.get("STREAMMF_TEST_KAFKA"):
        yield given
    elif _docker_answers():
        with _container() as address:
            yield address
    else:
        with local_broker(folder) as broker:
            yield broker.address


def _docker_answers() -> bool:
    try:
        import testcontainers  # noqa: F401
    except ImportError:
        return False
    where = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        if where.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as daemon:
                daemon.connect(where.path)
        else:
            socket.create_connection((where.hostname or "", where.port or 2375), 2).close()
    except OSError:
        return False
    return True


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer

    with KafkaContainer() as container:
        yield container.get_bootstrap_server()
