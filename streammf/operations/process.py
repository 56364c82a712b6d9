"""What every long-lived process of ours does first, and the way it says that it is ready.

Rules of this file:
1. A child does not outlive its parent: an orphaned trainer would keep the store, and its successor could not start.
2. stdout carries the `ready` line that a supervisor waits for; everything else goes to stderr.
"""

import ctypes
import logging
import os
import signal
import sys
from typing import Final, NoReturn

from streammf.errors import ChildError

#: prctl(2): the signal that the kernel sends this process when its parent dies.
_SET_PARENT_DEATH_SIGNAL: Final = 1


def begin(parent: int | None) -> None:
    """Set up logging, and SIGTERM for the time before there is anything to finish. `parent`: who started us, by pid."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _leave)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        raise ChildError(f"process {parent}, which started this one, is gone")


def say_ready(text: str) -> None:
    """The line that a supervisor waits for."""
    print(f"ready {text}", flush=True)  # noqa: T201 - this is the one that is meant for stdout


def say_starting(text: str) -> None:
    """The first thing that who starts us by hand sees: it may be a minute until we are ready."""
    print(f"starting {text}", file=sys.stderr, flush=True)  # noqa: T201


def say_compiling(done: int, of: int) -> None:
    """Progress of compiling kernels."""
    print(f"compiling kernels, once after an installation: {done} of {of}", file=sys.stderr, flush=True)  # noqa: T201


def _leave(number: int, frame: object) -> NoReturn:
    """Nothing was begun yet: SIGTERM is obeyed at once."""
    raise SystemExit(0)
