"""Who may use LMDB's map at once, in one process.

Rules of this file:
1. Reading takes no turn from the writer: a copy of the store may take minutes, and commits go on meanwhile.
2. The map is moved, or let go, only while nobody in this process reads it: LMDB would pull it from under a transaction.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Many at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Beside others."""
        with self._changed:
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Once the others are done; who comes meanwhile waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._together == 0)
            yield
