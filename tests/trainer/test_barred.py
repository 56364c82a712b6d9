"""A restored store stays without those whom it was told to forget later, whatever the log still says of them."""

from contextlib import closing
from pathlib import Path
from threading import Event as Signal

import pytest

from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.source import Partition
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state import snapshots
from streammf.state.digest import digest
from streammf.state.forgotten import Erased, Forgotten, hasher
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.options import Limits, StoreOptions
from streammf.state.store import Store
from streammf.trainer.barred import Barred
from streammf.trainer.decoding import Decoder
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from tests.state.forgetters import Kept, learn
from tests.trainer.sources import ListedSource, clicks

LEARNING = LearningOptions(factors=4, history=8, recent=60, neighbours=6, peers=4)
LOG = Partition("listed", 0)
#: What asks to forget the user of most of the first clicks, and the item.
FORGET = b'{"type":"forget_user","user":"u7"}', b'{"type":"delete_item","item":"i1"}'


def log() -> list[Event | bytes]:
    """300 clicks; two records that ask after 250 of them; and the same people and things again."""
    events = clicks(300)
    return [*events[:250], *FORGET, *events[250:]]


def train(folder: Path, records: list[Event | bytes], most: int = 1000) -> None:
    ready(LEARNING.part)
    with (
        closing(Store.open(StoreOptions(path=str(folder / "store")))) as store,
        closing(LiveWriter(folder / "live", LEARNING, Limits(1000, 1000))) as live,
    ):
        Trainer(ListedSource(records, most), store, live, LEARNING, TrainerOptions(batch=50)).run(Signal())


def restored(folder: Path, most: int = 1000) -> None:
    """A store that has learned 200 of the log, was asked to forget, and is restored to those 200."""
    train(folder, log()[:200], most)
    with Store.open_readonly(folder / "store") as store:
        snapshots.create(store, folder / "old")
    train(folder, log(), most)
    snapshots.restore(folder / "old", folder / "store", overwrite=True)


def known(folder: Path) -> tuple[bool, bool]:
    view = LiveReader(folder / "live").view()
    return view.user_row("u7") >= 0, view.item_row("i1") >= 0


def number(folder: Path) -> tuple[str, int]:
    with Store.open_readonly(folder / "store") as store:
        meta = store.meta()
        assert meta is not None
        return digest(store), meta.events


def test_what_the_log_says_before_it_asked_to_forget_is_left_out(tmp_path: Path) -> None:
    restored(tmp_path)
    train(tmp_path, log()[:240])
    assert known(tmp_path) == (False, False)
    named = [e for e in clicks(300)[200:240] if e.user == "u7" or e.item == "i1"]
    assert named, "the test is about something"
    assert number(tmp_path)[1] == 240 - len(named)


def test_after_the_record_that_asked_it_is_somebody_new(tmp_path: Path) -> None:
    restored(tmp_path)
    train(tmp_path, log())
    assert known(tmp_path) == (True, True)
    named = [e for e in clicks(300)[200:250] if e.user == "u7" or e.item == "i1"]
    assert number(tmp_path)[1] == 300 - len(named)


@pytest.mark.parametrize("most", [1, 7])
def test_batches_and_restarts_show_nowhere(tmp_path: Path, most: int) -> None:
    for name in ("whole", "pieces"):
        restored(tmp_path / name)
    train(tmp_path / "whole", log())
    for end in (220, 251, 252, 302):
        train(tmp_path / "pieces", log()[:end], most)
    assert number(tmp_path / "pieces") == number(tmp_path / "whole")


def test_control_events_about_somebody_barred_are_left_out_but_for_those_that_erase(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        kept = Kept(store)
        learn(kept.model, 1)
        kept.commit()
        hashed = hasher(store.key)
        entry = Forgotten(Axis.ITEM, hashed(Axis.ITEM, b"tea"), "listed", 0, "one", 9, cleared=1)
        store.commit(kept.copier.take(), kept.meta, erased=Erased([entry]))
        barred = Barred(store, {"listed": "one"})
        of_another_log = Barred(store, {"listed": "two"})
    records = [
        encode_json(Event("ann", "tea")), b'{"type":"item","item":"tea","title":"T"}', b'{"type":"item","item":"ale"}',
        b'{"type":"delete_item","item":"tea"}', encode_json(Event("ann", "ale")),
    ]  # fmt: skip
    source = ListedSource(records)
    polled = source.poll(10, 0)
    assert polled is not None

    def left(one: Barred, read: int) -> tuple[list[int], list[str], int]:
        decoded = Decoder(source.partitions, ["click"], (-1e9, 1e9)).decode(polled)
        columns, kinds = one.without(decoded, {LOG: read})
        return columns.offsets.tolist(), [f"{c.kind} {c.id} {c.before}" for c in columns.controls], len(kinds)

    everything = [0, 4], ["item tea 1", "item ale 1", "delete_item tea 1"], 0
    assert left(of_another_log, 0) == everything
    assert left(barred, 9) == ([4], ["item ale 0", "delete_item tea 0"], 1)
    assert left(barred, 10) == everything
