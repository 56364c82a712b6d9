"""Attributes against their oracle, and that without them nothing is different."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from streammf.learning.arguments import Batch, frozen
from streammf.learning.attributes import describe_item, describe_user
from streammf.learning.learner import learner
from tests import attribute_oracles, oracles
from tests.learning.arrays import Model, copied, model, part, random_log
from tests.learning.test_learner import DECAYS, OBJECTIVES, ORACLES, assert_close, chosen

USERS, ITEMS, EVENTS = 7, 12, 80
CHOICE: dict[str, Any] = {**DECAYS, "attributes": 9}

Said = tuple[int, str, int, list[int], bool]
"""(before which event; of what kind, which row; its values, hidden)"""


def tell(made: Model, kind: str, row: int, values: list[int], hidden: bool = False, time: int = 5) -> None:
    rows = frozen(np.array(values, np.int32))
    if kind == "item":
        describe_item(made.state, made.marks, row, rows, int(hidden), time)
    else:
        describe_user(made.state, made.marks, row, rows)


def told(seed: int) -> list[Said]:
    """What is said of some items and users, of some more than once."""
    chance = np.random.default_rng(seed)
    said: list[Said] = []
    for place in sorted(chance.integers(0, EVENTS // 2, 30).tolist()):
        kind, most = ("item", ITEMS) if chance.random() < 0.6 else ("user", USERS)
        values = chance.choice(9, chance.integers(0, 9), replace=False).tolist()
        said.append((place, kind, int(chance.integers(most)), values, bool(chance.random() < 0.3)))
    return said


def described(made: Model, log: Batch, options: Any, said: list[Said], size: int) -> None:
    """Learn in batches of a size, which what is said splits."""
    learn = learner(options)
    for first, last in pairwise(sorted({0, EVENTS, *range(0, EVENTS, size), *(one[0] for one in said)})):
        for place, kind, row, values, hidden in said:
            if place == first:
                tell(made, kind, row, values, hidden)
        learn(*made, part(log, first, last))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_step_is_the_oracles(objective: str, seed: int) -> None:
    options = chosen(objective, **CHOICE)
    log, said = random_log(seed, EVENTS), told(seed)
    made = model(options, USERS, ITEMS, EVENTS, partitions=2)
    learn = learner(options)
    for n in range(EVENTS):
        expected, counts = oracles.wide(made.state), made.counts.copy()
        for place, kind, row, values, hidden in said:
            if place == n:
                tell(made, kind, row, values, hidden)
                attribute_oracles.describe(expected, kind, row, values, hidden, 5)
        user, item, weight = int(log.user[n]), int(log.item[n]), float(log.weight[n])
        one = part(log, n, n + 1)
        learn(*made, one)
        attribute_oracles.before(expected, user, item)
        ORACLES[objective](expected, counts, one, options)
        attribute_oracles.after(expected, user, item, weight)
        assert_close(made.state, expected, of_weights=1e-3)
    assert made.state.item_values.events.sum() > 50
    assert made.state.user_values.events.sum() > 50


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("size", [1, 7])
def test_batches_of_any_size_are_the_same_as_all_at_once(objective: str, size: int) -> None:
    options = chosen(objective, **CHOICE)
    log, said = random_log(5, EVENTS), told(5)
    made = [model(options, USERS, ITEMS, EVENTS, partitions=2) for _ in range(2)]
    described(made[0], log, options, said, EVENTS)
    described(made[1], log, options, said, size)
    for table, other in zip(made[0].state, made[1].state, strict=True):
        for column, same in zip(table, other, strict=True):
            assert column.tobytes() == same.tobytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_room_for_attributes_that_nobody_has_changes_no_bit(objective: str) -> None:
    log, states = random_log(6, EVENTS), []
    for attributes in (9, 0):
        options = chosen(objective, **{**CHOICE, "attributes": attributes})
        made = model(options, USERS, ITEMS, EVENTS, partitions=2)
        learner(options)(*made, log)
        states.append(made.state)
    for name, table, other in zip(states[0]._fields, *states, strict=True):
        for column, same in zip(table, other, strict=True):
            assert name.endswith("_values") or column.tobytes() == same.tobytes(), name


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_row_that_attributes_change_is_marked(objective: str) -> None:
    options, log, said = chosen(objective, **CHOICE), random_log(7, EVENTS), told(7)
    made = model(options, USERS, ITEMS, EVENTS, partitions=2)
    before = copied(made)
    described(made, log, options, said, 20)
    for name in made.marks._fields:
        mark = getattr(made.marks, name)
        listed = mark.rows[: mark.used[0]].tolist()
        assert len(set(listed)) == len(listed)
        for column, old in zip(getattr(made.state, name), getattr(before.state, name), strict=True):
            changed = np.flatnonzero((column != old).reshape(len(column), -1).any(axis=1))
            assert name == "seen" or set(changed.tolist()) <= set(listed), name  # new blocks count as new rows


def test_an_item_that_is_told_to_have_nothing_is_no_candidate_before_its_first_event() -> None:
    made = model(chosen("ranking", **CHOICE), USERS, ITEMS, EVENTS)
    tell(made, "item", 3, [])
    tell(made, "item", 4, [1])
    assert made.state.items.events[[3, 4]].tolist() == [0, -1]
    assert made.state.items.first_time[4] == 5


def test_hidden_items_are_counted_once_however_often_it_is_said() -> None:
    made = model(chosen("ranking", **CHOICE), USERS, ITEMS, EVENTS)
    for row, hidden in ((1, True), (1, True), (2, True), (1, False), (5, False)):
        tell(made, "item", row, [0], hidden)
    assert made.state.describing.hidden[0] == 1
    assert made.state.describing.catalogue[0] == 6
