"""Places at which a test can make a process fail, by name: the way to find out what a crash at that instruction loses.

Rules of this file:
1. Off, as always unless STREAMMF_FAILPOINTS is set, a place costs one call a batch, a commit or a start. None is passed once
   an event.
2. What a place does is what a fault does: the process is gone, or stands still, or a call fails. Nothing is pretended.
3. A place is named `part.step` and stands right after that step.

STREAMMF_FAILPOINTS holds places divided by commas: `store.rows=kill@3` kills at the third time that `store.rows` is passed;
`record=<file>` writes the name of every place that is passed, a line each.
"""

import errno
import os
import signal
import time
from collections import Counter
from typing import Final

from streammf.errors import ConfigurationError

VARIABLE: Final = "STREAMMF_FAILPOINTS"
ACTIONS: Final = ("exit", "kill", "stop", "raise", "eio", "sleep")
_RECORD: Final = "record"

#: place → (action, at which time it is passed).
_armed: dict[str, tuple[str, int]] = {}
_passed: Counter[str] = Counter()
_record: list[int] = []


def reach(place: str) -> None:
    """This process has come to `place`."""
    if _armed or _record:
        _come(place)


def arm(described: str) -> None:
    """Set every place anew, from what the variable may hold; empty: off. Raises ConfigurationError."""
    _armed.clear()
    _passed.clear()
    _record.clear()
    for part in filter(None, described.split(",")):
        place, _, action = part.partition("=")
        action, _, time_passed = action.partition("@")
        if place == _RECORD:
            _record.append(os.open(action, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        elif action.partition(":")[0] in ACTIONS and (time_passed or "1").isdecimal():
            _armed[place] = action, int(time_passed or "1")
        else:
            raise ConfigurationError(f"{VARIABLE}: {part!r} is not place=action[@time]; actions: {', '.join(ACTIONS)}, sleep:s")


def _come(place: str) -> None:
    if _record:
        os.write(_record[0], f"{place}\n".encode())
    action, at = _armed.get(place, ("", 0))
    if not action:
        return
    _passed[place] += 1
    if _passed[place] == at:
        _act(place, action)


def _act(place: str, action: str) -> None:
    name, _, amount = action.partition(":")
    match name:
        case "exit":
            os._exit(1)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "sleep":
            time.sleep(float(amount or "1"))
        case "eio":
            raise OSError(errno.EIO, f"failpoint {place}")
        case _:
            raise RuntimeError(f"failpoint {place}")


arm(os.environ.get(VARIABLE, ""))
