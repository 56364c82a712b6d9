"""Records that were set aside are sent on after their commit, each at least once, whatever fails."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from streammf.counters.block import Block
from streammf.errors import SourceError
from streammf.events.dead_letters import Numbered
from streammf.events.event import Rejected
from streammf.events.source import Partition
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer.counting import families
from streammf.trainer.dead_letters import BATCH, DeadLetters
from tests.state.models import meta, model
from tests.waiting import wait_for


class Kept:
    """An outlet that remembers; it fails as often as it is told, after it has taken half of a batch."""

    def __init__(self, failures: int = 0) -> None:
        self.numbers: list[int] = []
        self.failures = failures
        self.closed = False

    def send(self, records: Sequence[Numbered]) -> None:
        if self.failures:
            self.failures -= 1
            self.numbers += [number for number, _ in records[: len(records) // 2]]
            raise SourceError("nobody takes letters")
        self.numbers += [number for number, _ in records]

    def close(self) -> None:
        self.closed = True


def set_aside(store: Store, count: int) -> None:
    """One commit with `count` rejected records."""
    records = [Rejected(Partition("events", 0), n, "malformed", "", b"{", None, n) for n in range(count)]
    store.commit(Copier(*model()).take(), store.meta() or meta(), records)


def opened(folder: Path, quarantined: int = 100_000) -> Store:
    return Store.open(StoreOptions(path=str(folder), quarantined=quarantined))


def block() -> Block:
    return Block.private(families(["click"]))


def test_all_are_sent_once_in_order_and_a_new_start_goes_on_behind_them(tmp_path: Path) -> None:
    for start in range(2):
        outlet = Kept()
        with opened(tmp_path) as store, closing(DeadLetters(store, outlet, block())) as letters:
            set_aside(store, 2 * BATCH + 5)
            letters.send_all()
        first = start * (2 * BATCH + 5)
        assert outlet.numbers == list(range(first, first + 2 * BATCH + 5))
        assert outlet.closed


def test_a_crash_between_sending_and_noting_it_repeats_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outlet = Kept()
    with opened(tmp_path) as store:
        set_aside(store, 2 * BATCH)
        noted, real = [0], Store.sent

        def crash(self: Store, following: int) -> None:
            noted[0] += 1
            if noted[0] == 2:
                raise KeyboardInterrupt
            real(self, following)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "sent", crash)
            with pytest.raises(KeyboardInterrupt):
                DeadLetters(store, outlet, block()).send_all()
    with opened(tmp_path) as store:
        DeadLetters(store, outlet, block()).send_all()
    assert outlet.numbers == [*range(2 * BATCH), *range(BATCH, 2 * BATCH)]


def test_what_nobody_takes_waits_and_is_sent_when_somebody_does(tmp_path: Path) -> None:
    outlet, counted = Kept(failures=1), block()
    with opened(tmp_path) as store:
        set_aside(store, 4)
        letters = DeadLetters(store, outlet, counted)
        with pytest.raises(SourceError):
            letters.send_all()
        assert counted.value("dead_letters_waiting") == 4
        letters.send_all()
    assert outlet.numbers == [0, 1, 0, 1, 2, 3], "at least once"
    assert (counted.value("dead_letters_waiting"), counted.value("dead_letters_total", "sent")) == (0, 4)


def test_beside_learning_it_tries_again_until_it_is_closed(tmp_path: Path) -> None:
    outlet, counted = Kept(failures=1), block()
    with opened(tmp_path) as store, closing(DeadLetters(store, outlet, counted)) as letters:
        letters.start()
        set_aside(store, 4)
        wait_for(lambda: counted.value("dead_letters_total", "sent") == 4, "the letters to be sent")
        assert counted.value("dead_letters_total", "failed") == 1
        set_aside(store, 1)
    assert outlet.numbers[-1] == 4, "closing sends what the last commit set aside"


def test_what_made_room_or_was_dropped_before_it_was_sent_is_counted_as_gone(tmp_path: Path) -> None:
    outlet, counted = Kept(), block()
    with opened(tmp_path, quarantined=10) as store:
        letters = DeadLetters(store, outlet, counted)
        set_aside(store, 25)
        store.drop([20, 24])
        letters.send_all()
    assert outlet.numbers == [n for n in range(15, 24) if n != 20]
    assert (counted.value("dead_letters_total", "gone"), counted.value("dead_letters_waiting")) == (17, 0)
