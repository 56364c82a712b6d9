"""Waiting in tests: on a condition, with a deadline. The only place where a test may sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, seconds: float = 30.0, pause: float = 0.01) -> T:
    """The first true value of `condition`; AssertionError naming `what` when the time is over.

    An exception of `condition` counts as "not yet" and is shown when the time is over.
    """
    deadline = time.monotonic() + seconds
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            value = condition()
        except Exception as error:  # noqa: BLE001 - the thing waited for may not be there yet
            last = error
        else:
            if value:
                return value
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds} s") from last
