"""What was set aside: kept by number, dropped by number, and how far it was sent on."""

from pathlib import Path

from streammf.events.event import Rejected
from streammf.events.source import Partition
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import meta, model


def record(n: int) -> Rejected:
    return Rejected(Partition("events", 0), n, "malformed", "no JSON", b"{%d" % n, b"k", n)


def commit(store: Store, *numbers: int) -> None:
    """Set these records aside in one commit."""
    store.commit(Copier(*model()).take(), store.meta() or meta(), [record(n) for n in numbers])


def numbers(store: Store, first: int = 0) -> list[int]:
    with store.read() as reading:
        return [number for number, _ in reading.quarantined(first)]


def test_what_is_dropped_is_gone_and_its_number_is_not_given_again(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        commit(store, 0, 1, 2, 3)
        assert store.drop([1, 3, 99]) == 2
        assert numbers(store) == [0, 2]
        commit(store, 4)
        assert numbers(store) == [0, 2, 4]
        assert numbers(store, 1) == [2, 4]
        last = store.meta()
        assert last is not None
        assert last.rejected == 5


def test_what_a_drop_left_still_makes_room_for_the_newest(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path), quarantined=3)) as store:
        commit(store, 0, 1, 2)
        store.drop([1])
        commit(store, 3)
        assert numbers(store) == [2, 3]


def test_how_far_it_was_sent_on_outlives_the_process(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        with store.read() as reading:
            assert reading.sent() == 0
        store.sent(7)
    with Store.open_readonly(tmp_path) as store, store.read() as reading:
        assert reading.sent() == 7
