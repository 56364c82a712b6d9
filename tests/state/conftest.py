"""What the tests of this room share: compiled kernels, and file systems that are soon full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streammf.learning.compiling import ready


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Kernels are called directly here, and refuse to be before they are compiled."""
    ready()


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
