"""What several rooms' tests share."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker import LocalBroker, any_broker, local_broker


def pytest_sessionstart() -> None:
    """Take Ctrl-C even where the shell that began us in the background ignores it: whatever the tests start would, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker for the whole run: tests make topics of their own in it and never stop it."""
    with any_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalBroker]:
    """A real broker for one test, which may stop, kill and start it."""
    with local_broker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A memory file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a memory file system of 8 MiB: only root may mount one")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a memory file system of 8 MiB: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
