"""Caps and the threshold: sets and a dict say the same, whatever the batches and restarts."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.errors import ConfigurationError, MemoryFullError
from streammf.events.event import Attributes, Control
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import SKETCH, Array, Newcomers
from streammf.state.admission import Admission
from streammf.state.ids import Ids, packed
from streammf.state.sketch import meet_all

SETTING = "live.most_users"


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


class Rule(NamedTuple):
    """The rules themselves."""

    most_users: int
    most_items: int
    admit_after: int

    def kept(self, events: Sequence[tuple[str, str]]) -> list[bool]:
        """Which events are not refused."""
        known: tuple[set[str], set[str]] = (set(), set())
        met: Counter[tuple[int, str]] = Counter()
        kept = []
        for event in events:
            news = [(side, name) for side, name in enumerate(event) if name not in known[side]]
            met.update(news)
            room = [not most or len(known[side]) < most for side, most in enumerate((self.most_users, self.most_items))]
            kept.append(all(met[new] >= self.admit_after and room[new[0]] for new in news))
            if kept[-1]:
                for side, name in enumerate(event):
                    known[side].add(name)
        return kept

    @property
    def options(self) -> LearningOptions:
        return LearningOptions(most_users=self.most_users, most_items=self.most_items, admit_after=self.admit_after)


class Sides:
    """Ids, the stored sketch and the gate before them."""

    def __init__(self, options: LearningOptions, limit: int = 1_000) -> None:
        self.options = options
        self.users, self.items = Ids.anonymous(1, limit, SETTING), Ids.anonymous(1, limit, "live.most_items")
        rows = int(options.admit_after > 1)
        self.stored = Newcomers(np.zeros((rows, SKETCH[0] * SKETCH[1]), np.uint8), np.zeros(rows, np.int64))
        self.start()

    def start(self) -> None:
        """A trainer begins with what is stored: batches that were not learned from left nothing."""
        self.gate = Admission(self.options, self.users, self.items)

    def admit(self, events: Sequence[tuple[str, str]], *, learned: bool = True) -> list[bool]:
        """Which of these events were kept. Learned: the learner comes to the batch too."""
        users, items = packed([user for user, _ in events]), packed([item for _, item in events])
        before = self.users.count, self.items.count
        found = self.gate.admit(users, items, self.stored)
        if not learned:
            self.users.count, self.items.count = before
            return []
        if len(found.met):
            meet_all(self.stored.met[0], self.stored.counted, found.met)
        assert (len(found.users.new), len(found.items.new)) == (self.users.count - before[0], self.items.count - before[1])
        kept: Array = found.kept
        assert self.users.names(found.users.rows[kept]) == [user for (user, _), yes in zip(events, kept, strict=True) if yes]
        assert self.items.names(found.items.rows[kept]) == [item for (_, item), yes in zip(events, kept, strict=True) if yes]
        return [bool(yes) for yes in kept]


NAMES = st.sampled_from("abcdefghijkl")


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(NAMES, NAMES), max_size=80),
    st.builds(Rule, st.integers(0, 6), st.integers(0, 6), st.integers(0, 4)),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_refused_is_what_the_rule_refuses_whatever_the_batches_and_restarts(
    events: list[tuple[str, str]], rule: Rule, borders: list[int]
) -> None:
    sides, kept = Sides(rule.options), []
    for first, last in zip([0, *sorted(borders)], [*sorted(borders), len(events)], strict=True):
        kept += sides.admit(events[first:last])
        if last % 2:
            sides.admit(events[last:], learned=False)
            sides.start()
    assert kept == rule.kept(events)


def test_without_a_cap_or_a_threshold_there_is_no_gate() -> None:
    ids = Ids.anonymous(1, 10, SETTING)
    assert Admission.of(LearningOptions(), ids, ids) is None
    assert Admission.of(LearningOptions(admit_after=1), ids, ids) is None
    assert LearningOptions(admit_after=1).dimensions == LearningOptions().dimensions


def test_a_refused_event_gives_no_row_to_the_id_that_may_have_one() -> None:
    sides = Sides(LearningOptions(most_items=1))
    assert sides.admit([("ann", "a"), ("ben", "b"), ("ben", "a")]) == [True, False, True]
    assert sides.users.rows(["ann", "ben"]).tolist() == [0, 1]


def test_a_flood_of_new_ids_makes_no_room_that_a_cap_forbids() -> None:
    sides = Sides(LearningOptions(most_users=5, most_items=5), limit=6)
    events = [(f"u{n}", f"i{n}") for n in range(5_000)]
    assert sum(sides.admit(events)) == 5
    assert (sides.users.count, sides.items.count) == (5, 5)


def test_one_user_and_one_item_of_the_same_name_are_counted_apart() -> None:
    sides = Sides(LearningOptions(admit_after=2))
    assert sides.admit([("x", "x"), ("x", "x")]) == [False, True]


def test_memory_that_may_become_full_without_a_cap_is_an_error_that_leaves_nothing_behind() -> None:
    sides = Sides(LearningOptions(admit_after=2), limit=3)
    assert sides.admit([(f"u{n}", "i") for n in (0, 0, 1, 1)]) == [False, True, False, True]
    with pytest.raises(MemoryFullError, match=SETTING):
        sides.admit([(f"u{n}", "i") for n in (2, 3)])
    assert sides.users.count == 2
    assert sides.admit([("u3", "i"), ("u3", "i")]) == [False, True]
    assert sides.users.rows(["u0", "u1", "u2", "u3"]).tolist() == [0, 1, -1, 2]


def test_control_events_need_not_be_met_first_and_know_the_cap() -> None:
    sides = Sides(LearningOptions(admit_after=3, most_users=2, most_items=2))
    told = [("item", "a", 0), ("user", "ann", 1), ("item", "b", 1), ("item", "c", 2)]
    said = [Control(kind, name, Attributes(), 0, 0, 0, before) for kind, name, before in told]
    found = sides.gate.admit(packed(["ann", "ann"]), packed(["a", "a"]), sides.stored, said)
    assert found.kept.tolist() == [False, True], "ann is known since somebody spoke of her"
    assert len(found.met) == 1
    assert sides.items.names(np.array([found.told[1][0], found.told[1][2]], np.int32)) == ["a", "b"]
    assert found.told[1][3] == -1
    assert sides.users.names(np.array([found.told[0][1]], np.int32)) == ["ann"]


def test_a_cap_beyond_the_memory_is_refused_with_the_setting_that_helps() -> None:
    ids = Ids.anonymous(1, 10, SETTING)
    with pytest.raises(ConfigurationError, match=r"learning.most_items = 11 .* live.most_items = 10"):
        Admission(LearningOptions(most_items=11), ids, ids)
