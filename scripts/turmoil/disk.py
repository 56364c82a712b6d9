"""A disk that can be made full: a small file system in memory where one may be mounted, else a limit to the trainer's files.

Rules of this file:
1. Full is what the kernel says it is: ENOSPC of the file system, or a write beyond RLIMIT_FSIZE that comes to nothing.
2. What was mounted here is unmounted here.
"""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MIB: Final = 64
#: Bytes that are left on a full disk: less than a commit needs.
LEFT: Final = 32 << 10


class Disk:
    """The folder that the store stands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={MIB}m", "none", str(folder)]
        self.small = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
        """Whether it is a small file system of its own."""

    @contextmanager
    def full(self, writers: Callable[[], Sequence[int]]) -> Iterator[None]:
        """No room while the block runs; `writers`: the processes that write to it."""
        with self._filled() if self.small else _limited(writers(), self.folder):
            yield

    def close(self) -> None:
        """Give it back."""
        if self.small:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @contextmanager
    def _filled(self) -> Iterator[None]:
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb") as file, suppress(OSError):  # somebody may be quicker to take the room
                status = os.statvfs(self.folder)
                os.posix_fallocate(file.fileno(), 0, max(status.f_bavail * status.f_frsize - LEFT, 1))
            yield
        finally:
            ballast.unlink()


@contextmanager
def _limited(pids: Sequence[int], folder: Path) -> Iterator[None]:
    """No file of these processes may grow beyond half of what the store's has."""
    sizes = [path.stat().st_size for path in folder.rglob("data.mdb")]
    limits = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    try:
        for pid in pids if sizes else ():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(sizes) // 2, limits[1]))
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
