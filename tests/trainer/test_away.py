"""Caps and expiry together, through a trainer: a slow world of sets and dicts says who is known, and what is refused."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from streammf.events.event import Event
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.recommender import Recommender
from streammf.serving.messages import RankingAnswer, Recommend
from streammf.serving.queries import answer
from streammf.state.examination import examine
from streammf.state.live import LiveReader
from streammf.state.store import Store
from tests.trainer.sources import ListedSource
from tests.trainer.test_loop import OPTIONS, stored_digest, train

DAY = 86_400_000
START = 1_700_000_000_000
#: Few enough that each generation fills the caps, and ten of them come.
CAP, GENERATIONS, EACH = 12, 10, 120
OPTIONS_OF: dict[str, Any] = {
    "factors": 4, "history": 4, "recent": 50, "most_users": CAP, "most_items": CAP, "forget_users_after_days": 2,
    "forget_items_after_days": 3, "forget_every": 20,
}  # fmt: skip
LEARNING = LearningOptions(**OPTIONS_OF)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def generations() -> list[Event]:
    """Clicks of people who come, stay for a day, and are never seen again, and so with items: ten times as many as the caps."""
    chance = np.random.default_rng(3)
    return [
        Event(
            user=f"user {g} {chance.integers(CAP) * 'long'[: g % 5]}{chance.integers(CAP)}",
            item=f"item {g} {chance.integers(CAP)}",
            ts=START + 6 * DAY * g + n * DAY // EACH,
        )
        for g in range(GENERATIONS)
        for n in range(EACH)
    ]


class World(NamedTuple):
    """What is left in the end."""

    users: set[str]
    items: set[str]
    refused: int


def slowly(events: Sequence[Event], options: LearningOptions) -> World:
    """The rules themselves. Times never go back here, and no event is far ahead of those before but at a new generation."""
    last: tuple[dict[str, int], dict[str, int]] = ({}, {})
    caps = (options.most_users, options.most_items)
    days = (options.forget_users_after_days, options.forget_items_after_days)
    refused: list[int] = []
    clock, applied = 0, 0
    ahead: list[int] = []
    for number, event in enumerate(events, 1):
        time = event.ts or 0
        named = (event.user, event.item)
        if all(name in known or not cap or len(known) < cap for name, known, cap in zip(named, last, caps, strict=True)):
            if not applied or time <= clock + DAY:
                clock, ahead = max(clock, time), []
            else:
                ahead.append(time)
                if len(ahead) == 3:
                    clock, ahead = min(ahead), []
            applied += 1
            for name, known in zip(named, last, strict=True):
                known[name] = max(known.get(name, 0), min(time, clock))
        else:
            refused.append(time)
        if number % options.forget_every == 0:
            told = max((min(refused[n : n + 3]) for n in range(len(refused) - 2)), default=0)
            for known, after in zip(last, days, strict=True):
                for name in [name for name, seen in known.items() if after and seen < max(clock, told) - after * DAY]:
                    del known[name]
    return World(set(last[0]), set(last[1]), len(refused))


def learned(folder: Path) -> World:
    """The same of a store."""
    with Store.open_readonly(folder / "store") as store, store.read() as reading:
        meta = reading.meta()
        assert meta is not None
        users, items = (
            {name.decode() for chunk in reading.ids(axis, meta.counts[axis]) for name in chunk.names() if name}
            for axis in (Axis.USER, Axis.ITEM)
        )
        assert meta.events + meta.refused == meta.positions[0].next
        return World(users, items, meta.refused)


@pytest.mark.parametrize("objective", ["ranking", "rating"])
@pytest.mark.parametrize("plain", [False, True])
def test_who_is_away_is_forgotten_at_the_same_events_whatever_the_batches_and_restarts(
    tmp_path: Path, objective: str, plain: bool
) -> None:
    learning = msgspec.convert(OPTIONS_OF | {"objective": objective, "blend": not plain, "stack": not plain}, LearningOptions)
    events = generations()
    if objective == "rating":
        events = [msgspec.structs.replace(event, type="rating", value=1.0 + n % 5) for n, event in enumerate(events)]
    wanted = slowly(events, learning)
    assert len(wanted.users) > CAP / 2
    assert wanted.refused > EACH
    for name, most in (("whole", 10_000), ("ones", 1), ("sevens", 7), ("thousands", 1_000)):
        train(tmp_path / name, ListedSource(events, most), learning, msgspec.structs.replace(OPTIONS, commit_events=300))
        assert learned(tmp_path / name) == wanted, name
    for end in (19, 20, 21, 333, 800, len(events)):
        train(tmp_path / "restarted", ListedSource(events[:end], 40), learning, OPTIONS)
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "thousands", "restarted")}
    assert len(set(digests.values())) == 1, digests
    assert examine(tmp_path / "restarted" / "store", lambda *_: None).problems == []


def test_ten_times_as_many_as_the_caps_take_no_more_room_than_once_and_are_answered_right(tmp_path: Path) -> None:
    events, rows = generations(), []
    for g in range(1, GENERATIONS + 1):
        train(tmp_path, ListedSource(events[: EACH * g]), LEARNING, OPTIONS)
        with closing(LiveReader(tmp_path / "live")) as reader:
            view = reader.view()
            rows.append(view.header.counts[: Axis.SEEN + 1])
            known = learned(tmp_path)
            user = next(event.user for event in reversed(events[: EACH * g]) if event.user in known.users)
            found = answer(view, Recommend(1, user=user, k=CAP, exclude_seen=False), CAP)
            assert isinstance(found, RankingAnswer)
            assert {one.item for one in found.items} <= known.items
            assert any(one.item.startswith(f"item {g - 1} ") for one in found.items)
    assert max(counts[Axis.USER] for counts in rows) == max(counts[Axis.ITEM] for counts in rows) == CAP
    assert rows[-1][Axis.SEEN] <= 2 * CAP, "blocks of seen items are given again too"


def test_the_library_forgets_whom_a_trainer_forgets() -> None:
    events = generations()
    recommender = Recommender(**OPTIONS_OF)
    for first in range(0, len(events), 77):
        part = events[first : first + 77]
        times = [event.ts or 0 for event in part]
        recommender.learn([event.user for event in part], [event.item for event in part], timestamps=times)
    wanted = slowly(events, LEARNING)
    assert recommender.refused == wanted.refused
    assert {one.item for one in recommender.recommend("nobody", k=100)} == wanted.items


def test_without_a_setting_nobody_is_forgotten(tmp_path: Path) -> None:
    events = generations()
    off = LearningOptions(factors=4, history=4, recent=50)
    train(tmp_path, ListedSource(events), off, OPTIONS)
    assert learned(tmp_path) == World({event.user for event in events}, {event.item for event in events}, 0)
