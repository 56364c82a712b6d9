"""Who may write a store: one process at a time.

Rules of this file:
1. The lock is the kernel's (flock): it ends with the process, however that ends. The file stays, and names its last
   owner.
2. It guards against a second trainer on one machine. A stale owner, whose lock somebody removed or whose file system
   carries no locks, is stopped by the owner epoch that every commit checks (see store.py).
"""

import fcntl
import os
from pathlib import Path

from streammf.errors import StoreBusyError


class Owner:
    """The lock of a store's folder, held from here to `release`. OSError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "that has not said its number yet"
            os.close(self._descriptor)
            raise StoreBusyError(f"the store {folder} is owned by process {pid}: stop it first") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let the next one in. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
