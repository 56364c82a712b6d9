import os
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streammf import Recommender
from streammf.errors import ConfigurationError, DataLossError, SourceError
from streammf.events.event import Event
from streammf.events.source import Records
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.digest import digest
from streammf.state.examination import examine
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.model import Model
from streammf.state.options import Limits, StoreOptions
from streammf.state.prepared import Told
from streammf.state.store import Store
from streammf.trainer.commits import NICE
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from tests.state.test_admission import Rule
from tests.trainer.sources import LOG, ListedSource, clicks

LEARNING = LearningOptions(factors=4, history=4, recent=50)
LIMITS = Limits(10_000, 10_000)
OPTIONS = TrainerOptions(idle_seconds=0.01)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def train(
    folder: Path,
    source: ListedSource,
    learning: LearningOptions = LEARNING,
    options: TrainerOptions = OPTIONS,
    *,
    accept_loss: bool = False,
) -> Trainer:
    """Learn the source to its end, into the store and the live memory of `folder`."""
    with (
        closing(Store.open(StoreOptions(path=str(folder / "store")))) as store,
        closing(LiveWriter(folder / "live", learning, LIMITS)) as live,
    ):
        trainer = Trainer(source, store, live, learning, options, accept_loss=accept_loss)
        trainer.run(threading.Event())
        return trainer


def stored_digest(folder: Path) -> str:
    with Store.open_readonly(folder / "store") as store:
        return digest(store)


def test_every_event_is_applied_and_committed_with_its_position(tmp_path: Path) -> None:
    source = ListedSource(clicks(100))
    assert train(tmp_path, source).events == 100
    with Store.open_readonly(tmp_path / "store") as store:
        meta = store.meta()
    assert meta is not None
    assert (meta.events, [p.next for p in meta.positions]) == (100, [100])


def test_batches_and_restarts_leave_no_trace_in_the_model(tmp_path: Path) -> None:
    events = clicks(300)
    train(tmp_path / "whole", ListedSource(events))
    for name, most in (("ones", 1), ("sevens", 7)):
        train(tmp_path / name, ListedSource(events, most))
    for end in (1, 50, 51, 299, 300):
        train(tmp_path / "restarted", ListedSource(events[:end]))
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "restarted")}
    assert len(set(digests.values())) == 1, digests


def test_what_was_applied_before_an_error_of_the_log_is_durable(tmp_path: Path) -> None:
    events = clicks(100)
    with pytest.raises(SourceError, match="the log broke"):
        train(tmp_path, ListedSource([*events[:60], SourceError("the log broke")], most=20))
    assert train(tmp_path, ListedSource(events)).events == 100


def test_after_any_other_error_the_last_commit_stands(tmp_path: Path) -> None:
    events = clicks(100)
    options = TrainerOptions(idle_seconds=0.01, commit_seconds=3600, commit_events=10**9)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, ListedSource([*events[:60], ZeroDivisionError()]), options=options)
    train(tmp_path, ListedSource(events))
    train(tmp_path / "whole", ListedSource(events))
    assert stored_digest(tmp_path) == stored_digest(tmp_path / "whole")


class WatchingSource(ListedSource):
    """Notes the priority of the thread that commits, which is the one that asks whether the log is still the same."""

    def __init__(self, events: Sequence[Event], most: int) -> None:
        super().__init__(events, most)
        self.found: list[int] = []

    def check(self) -> None:
        self.found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_the_committer_gives_way_to_the_learner(tmp_path: Path) -> None:
    learners = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    source = WatchingSource(clicks(100), 10)
    train(tmp_path, source, options=TrainerOptions(idle_seconds=0.01, commit_events=60, commit_seconds=60))
    assert source.found[0] == min(learners + NICE, 19)
    assert source.found[-1] == learners, "the last one is waited for"
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == learners


class RewindingSource(ListedSource):
    """Goes back ten events once, as clients have done."""

    went_back = False

    def poll(self, most: int, timeout: float) -> Records | None:
        if self._next >= 50 and not self.went_back:
            self.went_back = True
            self.rewind(40)
        return super().poll(most, timeout)


def test_events_that_a_client_delivers_again_are_not_applied_again(tmp_path: Path) -> None:
    events = clicks(100)
    trainer = train(tmp_path, RewindingSource(events, most=10))
    assert (trainer.events, trainer.dropped) == (100, 10)
    train(tmp_path / "whole", ListedSource(events))
    assert stored_digest(tmp_path) == stored_digest(tmp_path / "whole")


def test_bad_records_among_good_ones_are_set_aside_and_counted(tmp_path: Path) -> None:
    good = clicks(20)
    bad = [b"{", b"", b'{"user":"a"}', b"\xc1", b'{"user":"a","item":"b","value":1e999}']
    source = ListedSource([*good[:10], *bad, *good[10:]], most=4)
    assert train(tmp_path, source).events == 20
    with Store.open_readonly(tmp_path / "store") as store, store.read() as reading:
        kept = [(record.offset, record.reason) for _, record in reading.quarantined()]
    assert [offset for offset, _ in kept] == [10, 11, 12, 13, 14]
    with closing(LiveReader(tmp_path / "live")) as reader:
        assert reader.view().header.rejected == 5


def test_ratings_outside_the_scale_are_set_aside(tmp_path: Path) -> None:
    learning = LearningOptions(objective="rating", factors=4, history=4, recent=50, scale=(1.0, 5.0))
    events = [Event("u", "i", "rating", value, 1_700_000_000_000) for value in (1.0, 5.0, 0.5, 6.0, 3.0)]
    assert train(tmp_path, ListedSource(events), learning).events == 3
    with Store.open_readonly(tmp_path / "store") as store, store.read() as reading:
        assert [r.offset for _, r in reading.quarantined()] == [2, 3]


def test_another_log_under_the_same_name_is_refused(tmp_path: Path) -> None:
    train(tmp_path, ListedSource(clicks(10), topic_id="one"))
    with pytest.raises(DataLossError, match="made anew"):
        train(tmp_path, ListedSource(clicks(20), topic_id="two"))


def test_a_setting_that_shapes_the_store_cannot_change_under_it(tmp_path: Path) -> None:
    train(tmp_path, ListedSource(clicks(10)))
    with pytest.raises(ConfigurationError, match="factors"):
        train(tmp_path, ListedSource(clicks(20)), LearningOptions(factors=8, history=4, recent=50))


def test_the_log_is_advised_only_of_what_is_durable(tmp_path: Path) -> None:
    source = ListedSource(clicks(200), most=5)
    train(tmp_path, source, options=TrainerOptions(idle_seconds=0.01, commit_events=20))
    assert source.advised == sorted(source.advised)
    with Store.open_readonly(tmp_path / "store") as store:
        meta = store.meta()
    assert meta is not None
    assert all(position <= meta.positions[0].next for position in source.advised)


def test_a_reader_sees_each_event_with_the_position_behind_it(tmp_path: Path) -> None:
    train(tmp_path, ListedSource(clicks(33)))
    with closing(LiveReader(tmp_path / "live")) as reader:
        view = reader.view()
    assert view.header.positions == [(LOG.topic, LOG.number, 33)]
    assert (view.header.events, view.header.committed_events, view.header.status) == (33, 33, "stopped")


GATED = LearningOptions(factors=4, history=4, recent=50, most_users=60, most_items=25, admit_after=2)


@pytest.mark.parametrize("few", [7, 1000])
def test_refused_events_leave_no_trace_and_are_counted_whatever_the_batches_and_restarts(tmp_path: Path, few: int) -> None:
    events = clicks(1_500, users=300, items=60)
    refused = [not kept for kept in Rule(60, 25, 2).kept([(event.user, event.item) for event in events])]
    options = msgspec.structs.replace(OPTIONS, commit_events=few)
    for name, most in (("whole", 1_500), ("ones", 1), ("sevens", 7), ("thousands", 1_000)):
        trainer = train(tmp_path / name, ListedSource(events, most), GATED, options)
        assert (trainer.refused, trainer.events) == (sum(refused), 1_500 - sum(refused))
    for end in (1, 50, 51, 1_499, 1_500):
        train(tmp_path / "restarted", ListedSource(events[:end], 40), GATED, options)
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "thousands", "restarted")}
    assert len(set(digests.values())) == 1, digests
    with Store.open_readonly(tmp_path / "restarted" / "store") as store:
        meta = store.meta()
    assert meta is not None
    assert (meta.refused, [position.next for position in meta.positions]) == (sum(refused), [1_500])
    with closing(LiveReader(tmp_path / "restarted" / "live")) as reader:
        view = reader.view()
    assert view.header.refused == sum(refused)
    assert view.header.counts[:2] == [
        len({getattr(event, side) for event, no in zip(events, refused, strict=True) if not no}) for side in ("user", "item")
    ]


def test_a_batch_that_was_prepared_and_not_learned_from_has_counted_nobody(tmp_path: Path) -> None:
    events = clicks(600, users=300, items=60)
    broken: list[Event | bytes | Exception] = [*events[:300], ZeroDivisionError()]
    options = msgspec.structs.replace(OPTIONS, commit_events=60)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, ListedSource(broken, most=20), GATED, options)
    train(tmp_path, ListedSource(events), GATED, options)
    train(tmp_path / "whole", ListedSource(events), GATED, options)
    assert stored_digest(tmp_path) == stored_digest(tmp_path / "whole")


def test_caps_and_the_threshold_may_come_and_go_between_runs(tmp_path: Path) -> None:
    events = clicks(900, users=300, items=60)
    ends = {300: GATED, 301: LEARNING, 600: LEARNING, 601: GATED, 900: GATED}
    refused = [train(tmp_path, ListedSource(events[:end]), learning).refused for end, learning in ends.items()]
    assert 0 < refused[0] == refused[1] == refused[2], "whoever is new has a row meanwhile"
    assert refused[4] > refused[2]
    assert examine(tmp_path / "store", lambda *_: None).problems == []
    for end, learning in ends.items():
        train(tmp_path / "ones", ListedSource(events[:end], most=1), learning)
    assert stored_digest(tmp_path) == stored_digest(tmp_path / "ones")


def test_a_cap_beyond_the_live_memory_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"live.most_users = 10,000"):
        train(tmp_path, ListedSource(clicks(1)), LearningOptions(factors=4, history=4, recent=50, most_users=10_001))


def test_an_event_that_was_sent_twice_is_learned_once_whatever_the_batches_and_restarts(tmp_path: Path) -> None:
    once = [msgspec.structs.replace(event, id=f"e{n}") for n, event in enumerate(clicks(200))]
    twice = [event for n, event in enumerate(once) for event in [event, once[max(n - 30, 0)]]]
    options = TrainerOptions(idle_seconds=0.01, same_id_events=31, commit_events=7)
    for end in (3, 150, 151, 400):
        train(tmp_path / "restarted", ListedSource(twice[:end], most=9), options=options)
    assert train(tmp_path / "whole", ListedSource(twice), options=options).events == 200
    assert stored_digest(tmp_path / "restarted") == stored_digest(tmp_path / "whole")
    few = msgspec.structs.replace(options, same_id_events=30)
    assert train(tmp_path / "few", ListedSource(twice), options=few).events > 200, "the window ends there"
    off = msgspec.structs.replace(options, same_id_events=0)
    assert train(tmp_path / "off", ListedSource(twice), options=off).events == 400


def about(kind: str, name: str) -> bytes:
    """A control event of a kind, as a producer writes it."""
    named = "user" if kind in {"user", "forget_user"} else "item"
    return msgspec.json.encode({"type": kind, named: name, "categories": ["some"]})


def told_between(events: list[Event], kinds: tuple[str, ...] = ("item", "user")) -> list[Event | bytes]:
    """The events with a control event before every fifth; half of them of ids that no event has named yet."""
    log: list[Event | bytes] = []
    for n, event in enumerate(events):
        if n % 5 == 0:
            kind = kinds[n // 5 % len(kinds)]
            known = event.user if kind in {"user", "forget_user"} else event.item
            log.append(about(kind, f"new {n}" if n % 2 else known))
        log.append(event)
    return log


def test_control_events_are_no_events_but_have_their_positions_and_rows_whatever_the_batches(tmp_path: Path) -> None:
    log = told_between(clicks(100))
    assert train(tmp_path / "whole", ListedSource(log)).events == 100
    for name, most in (("ones", 1), ("sevens", 7)):
        train(tmp_path / name, ListedSource(log, most))
    for end in (1, 2, 60, 61, 119, 120):
        train(tmp_path / "restarted", ListedSource(log[:end]))
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "restarted")}
    assert len(set(digests.values())) == 1, digests
    with Store.open_readonly(tmp_path / "whole" / "store") as store:
        meta = store.meta()
    assert meta is not None
    assert (meta.events, meta.rejected, [p.next for p in meta.positions]) == (100, 0, [120])


def test_control_events_that_a_client_delivers_again_are_not_acted_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted_on: list[int] = []
    monkeypatch.setattr(Model, "control", lambda self, told: acted_on.append(told.control.offset))
    train(tmp_path, RewindingSource(told_between(clicks(100)), most=10))
    assert acted_on == list(range(0, 120, 6))


def test_nothing_is_made_ready_behind_an_erasure_before_it_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("forget_user", "item", "delete_item")
    log = told_between(clicks(100), kinds)
    steps: list[tuple[str, int]] = []
    prepare, control = Model.prepare, Model.control

    def prepared(self: Model, *columns: Any) -> Any:
        steps.extend(("prepared", offset) for offset in columns[6].tolist())
        return prepare(self, *columns)

    def done(self: Model, told: Told) -> None:
        steps.append((told.control.kind, told.control.offset))
        control(self, told)

    monkeypatch.setattr(Model, "prepare", prepared)
    monkeypatch.setattr(Model, "control", done)
    train(tmp_path, ListedSource(log, 17))
    assert [offset for step, offset in steps if step == "prepared"] == [n for n in range(120) if n % 6]
    for place, (step, offset) in enumerate(steps):
        if step in {"forget_user", "delete_item"}:
            assert all(other < offset for kind, other in steps[:place] if kind == "prepared")
    assert [(step, offset) for step, offset in steps if step != "prepared"] == [
        (kinds[n // 6 % 3], n) for n in range(0, 120, 6)
    ]


def test_attributes_are_learned_from_whatever_the_batches_and_restarts_and_as_the_library_does(tmp_path: Path) -> None:
    learning = msgspec.structs.replace(LEARNING, attributes=16)
    log = told_between(clicks(200))
    train(tmp_path / "whole", ListedSource(log), learning)
    for name, most in (("ones", 1), ("sevens", 7)):
        train(tmp_path / name, ListedSource(log, most), learning)
    for end in (1, 2, 60, 61, 119, 240):
        train(tmp_path / "restarted", ListedSource(log[:end]), learning)
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "restarted")}
    assert len(set(digests.values())) == 1, digests
    train(tmp_path / "off", ListedSource(log))
    assert stored_digest(tmp_path / "off") not in digests.values()
    with closing(LiveReader(tmp_path / "whole" / "live")) as reader:
        listed = reader.view()
    recommender = Recommender(factors=4, history=4, recent=50, attributes=16)
    for record in log:
        if isinstance(record, Event):
            recommender.learn([record.user], [record.item], timestamps=[record.ts or 0])
        else:
            said = msgspec.json.decode(record)
            tell = recommender.describe_item if said["type"] == "item" else recommender.describe_user
            tell(said.get("item") or said["user"], said["categories"])
    mine, axes = recommender._model.memory.state, {"items": Axis.ITEM, "users": Axis.USER}
    for name in ("items", "users", "item_values", "user_values"):
        n = listed.counts[axes.get(name, Axis.ATTRIBUTE)]
        assert getattr(mine, name).factor[:n].tobytes() == getattr(listed.state, name).factor[:n].tobytes(), name
