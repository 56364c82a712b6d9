"""Reading ahead: what whoever takes the batches is told, and when."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from streammf.events.source import Records
from streammf.trainer.reader import Reader, Ready
from tests.trainer.sources import ListedSource

#: Seconds that a batch is waited for.
WAIT = 0.05


def unprepared(records: Records) -> Iterable[Ready]:
    raise AssertionError(f"there was nothing to read, and yet: {records}")


@contextmanager
def handler(deadline: float) -> Iterator[None]:
    """SIGUSR1 is handled until `deadline` is over, on the monotonic clock."""

    def handle(number: int, frame: object) -> None:
        while time.monotonic() < deadline:
            pass

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(30)
def test_a_signal_that_is_handled_for_longer_than_the_wait_does_not_make_it_endless() -> None:
    """SIGTERM while a busy machine held the trainer up: it waited for a batch that never came, and did not stop."""
    reader = Reader(ListedSource([]), unprepared, lambda: 1, 0.01)
    sent = threading.Timer(WAIT / 5, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    with handler(time.monotonic() + 3 * WAIT):
        sent.start()
        assert reader.next(WAIT) is None
        sent.join()
