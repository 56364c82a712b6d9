"""Reading ahead: what whoever takes the batches is told, and when."""

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from streammf.events.event import Event
from streammf.events.source import Records
from streammf.trainer.reader import APART, LITTLE, Reader, Ready
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


@pytest.mark.parametrize(("at_once", "most", "waits"), [(3, 100, True), (3, 3, False), (LITTLE, 2 * LITTLE, False)])
def test_polls_stand_apart_where_they_find_little_though_more_was_asked_for(at_once: int, most: int, waits: bool) -> None:
    polled: list[float] = []

    def prepared(records: Records) -> Iterable[Ready]:
        polled.append(time.monotonic())
        return ()

    events = [Event("u", "i", "click", 1.0, 1_700_000_000_000)] * (20 * at_once)
    reader = Reader(ListedSource(events, most=at_once), prepared, lambda: most, 0.01)
    reader.start()
    with pytest.raises(EOFError):
        reader.next(30.0)
    reader.stop()
    assert len(polled) == 20
    if waits:
        assert polled[-1] - polled[0] > 18 * APART
    else:
        assert min(after - before for before, after in pairwise(polled)) < APART
