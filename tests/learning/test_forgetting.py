"""Forgetting leaves nothing that leads to a row, and everything else as it was."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import forgetting
from streammf.learning.audience import latest_of
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.rates import rates
from streammf.learning.tables import TABLES, Array, Axis
from tests.learning.arrays import Model, batch, copied, model, part, random_log

USERS, ITEMS, EVENTS = 12, 40, 600
SMALL: dict[str, Any] = {"factors": 4, "history": 8, "recent": 60, "neighbours": 6, "peers": 4, "measure_every": 1}
KINDS = {
    "ranking": LearningOptions(objective="ranking", **SMALL),
    "plain ranking": LearningOptions(objective="ranking", blend=False, **SMALL),
    "described": LearningOptions(objective="ranking", attributes=16, **SMALL),
    "rating": LearningOptions(objective="rating", scale=(1, 5), **SMALL),
}
AXES = (Axis.USER, Axis.ITEM)
of_all_kinds = pytest.mark.parametrize("kind", KINDS)
of_both_axes = pytest.mark.parametrize("axis", AXES, ids=["users", "items"])


def taught(kind: str, events: int = EVENTS) -> Model:
    """A model that has learned from a log with repeats, late events and events of weight 0."""
    made = model(KINDS[kind], USERS, ITEMS, 2 * EVENTS, partitions=2)
    learner(KINDS[kind])(*made, random_log(5, events, USERS, ITEMS))
    return made


def erase(made: Model, kind: str, axis: Axis, *rows: int) -> None:
    forgetting.erase(*made, axis, np.array(rows, np.int32), rates(KINDS[kind]).solved_decay)


def used(made: Model, table: Any) -> list[tuple[str, Any, Array]]:
    """(name, declaration, the rows in use) of every column."""
    columns = zip(table.items(), getattr(made.state, table.name), strict=True)
    return [(name, column, array[: made.counts[table.axis]]) for (name, column), array in columns]


def busiest(made: Model, axis: Axis) -> int:
    """The row that most events were about."""
    return int(np.argmax(made.state.users.events if axis == Axis.USER else made.state.items.events))


@of_both_axes
@of_all_kinds
def test_no_number_in_any_table_leads_to_a_forgotten_row_and_the_row_is_as_new(kind: str, axis: Axis) -> None:
    made = taught(kind)
    row = busiest(made, axis)
    led = [name for table in TABLES for name, column, array in used(made, table) if column.refers == axis and row in array]
    assert led, "the test is about something"
    erase(made, kind, axis, row)
    for table in TABLES:
        for name, column, array in used(made, table):
            if column.refers == axis:
                assert row not in array, f"{table.name}.{name}"
            if table.axis == axis and len(array):
                assert np.all(array[row] == (0 if column.scale else column.fill)), f"{table.name}.{name}"


@of_both_axes
@of_all_kinds
def test_rows_of_others_change_only_where_they_led_to_it(kind: str, axis: Axis) -> None:
    before = taught(kind)
    row = busiest(before, axis)
    made = copied(before)
    erase(made, kind, axis, row)
    for table in TABLES:
        if table.axis == axis and not any(column.refers == axis for _, column, _ in used(made, table)):
            for (_, _, new), (_, _, old) in zip(used(made, table), used(before, table), strict=True):
                if table.name != "audience":  # counts the ring of recent events
                    assert np.array_equal(np.delete(new, row, 0), np.delete(old, row, 0)), table.name


@of_both_axes
@of_all_kinds
def test_every_row_that_changed_is_marked_once(kind: str, axis: Axis) -> None:
    before = taught(kind)
    for mark in before.marks:
        mark.moved[:] = 0
        mark.used[0] = 0
    made = copied(before)
    erase(made, kind, axis, busiest(made, axis))
    for name in made.marks._fields:
        old, new, mark = getattr(before.state, name), getattr(made.state, name), getattr(made.marks, name)
        changed = {int(r) for a, b in zip(old, new, strict=True) for r in np.unique(np.nonzero(a != b)[0])}
        marked = mark.rows[: mark.used[0]].tolist()
        assert changed <= set(marked), name
        assert len(marked) == len(set(marked)), name


@of_both_axes
@of_all_kinds
def test_rows_forgotten_together_leave_what_one_after_the_other_leaves(kind: str, axis: Axis) -> None:
    together, apart = taught(kind), taught(kind)
    erase(together, kind, axis, 1, 0, 3, 1)
    for row in (3, 1, 0, 1):
        erase(apart, kind, axis, row)
    for table in TABLES:
        for (name, _, a), (_, _, b) in zip(used(together, table), used(apart, table), strict=True):
            if name not in {"freed", "next", "top"} and table.name != "grams":  # the order of what is free, and of sums
                assert np.array_equal(a, b), f"{table.name}.{name}"
            elif table.name == "grams":
                assert a == pytest.approx(b, rel=1e-9, abs=1e-9)


@of_both_axes
@of_all_kinds
def test_learning_goes_on_after_everything_is_forgotten(kind: str, axis: Axis) -> None:
    made = taught(kind)
    erase(made, kind, axis, *range(USERS if axis == Axis.USER else ITEMS))
    assert made.state.whole.taught[0] == 0
    learner(KINDS[kind])(*made, random_log(6, EVENTS, USERS, ITEMS))
    for table in TABLES:
        for name, column, array in used(made, table):
            if array.dtype.kind == "f" and np.isfinite(column.fill):
                assert np.isfinite(array).all(), f"{table.name}.{name}"
            if column.refers is not None:
                assert array.min(initial=0) >= -1, f"{table.name}.{name}"


@of_both_axes
@of_all_kinds
def test_the_split_into_batches_shows_nowhere_after_forgetting(kind: str, axis: Axis) -> None:
    whole = taught(kind)
    erase(whole, kind, axis, busiest(whole, axis))
    pieces = copied(whole)
    log = random_log(7, 200, USERS, ITEMS)
    learner(KINDS[kind])(*whole, log)
    for first in range(0, 200, 7):
        learner(KINDS[kind])(*pieces, part(log, first, first + 7))
    for table in TABLES:
        for (name, _, a), (_, _, b) in zip(used(whole, table), used(pieces, table), strict=True):
            assert np.array_equal(a, b, equal_nan=True), f"{table.name}.{name}"


def test_blocks_of_seen_items_are_used_again_before_new_ones() -> None:
    made = taught("ranking")
    row = busiest(made, Axis.USER)
    blocks, block = [], int(made.state.users.seen_block[row])
    while block >= 0:
        blocks.append(block)
        block = int(made.state.seen.next[block])
    erase(made, "ranking", Axis.USER, row)
    free, block = [], int(made.state.whole.freed[0])
    while block >= 0:
        free.append(block)
        block = int(made.state.seen.next[block])
    assert sorted(free) == sorted(blocks)
    count = int(made.counts[Axis.SEEN])
    learner(KINDS["ranking"])(*made, batch([row], [0], offset=[5000]))
    assert made.counts[Axis.SEEN] == count
    assert made.state.users.seen_block[row] == free[0]
    assert made.state.whole.freed[0] == (free[1] if len(free) > 1 else -1)


@of_both_axes
def test_the_counts_of_the_ring_of_recent_events_stay_true(axis: Axis) -> None:
    made = taught("ranking")
    row = busiest(made, axis)
    erase(made, "ranking", axis, row)
    recent, audience, number = made.state.recent, made.state.audience, int(made.state.whole.taught[0])
    size = len(recent.item)
    newest = (number - 1 - np.arange(min(number, latest_of(recent)))) % size
    assert np.array_equal(audience.in_recent, np.bincount(recent.item[: min(number, size)], minlength=ITEMS))
    assert np.array_equal(audience.in_latest, np.bincount(recent.item[newest], minlength=ITEMS))


@of_both_axes
def test_gram_sums_are_those_of_the_rows_that_are_left(axis: Axis) -> None:
    made = taught("ranking")
    erase(made, "ranking", axis, busiest(made, axis))
    grams = made.state.grams
    solved = made.state.solved_users if axis == Axis.USER else made.state.solved_items
    gram, number = (grams.user, grams.users) if axis == Axis.USER else (grams.item, grams.items)
    rows = np.flatnonzero(solved.time >= 0)
    left = np.exp(rates(KINDS["ranking"]).solved_decay * (solved.time[rows] - grams.base[0]))
    vectors = solved.factor[rows].astype(np.float64)
    assert gram[0] == pytest.approx(((vectors * left[:, None]).T @ vectors).reshape(-1), rel=1e-4, abs=1e-6)
    assert number[0] == pytest.approx(left.sum())


def test_every_column_of_row_numbers_says_what_it_refers_to() -> None:
    """int32 columns that hold no numbers of rows are named here, so that a new one is looked at."""
    others = {
        "users.events", "users.taught", "users.seen_count", "items.events", "items.taught", "audience.met",
        "audience.in_recent", "audience.in_latest", "stack.serving", "measures.serving", "described_items.hidden",
    }  # fmt: skip
    found = {f"{t.name}.{name}" for t in TABLES for name, c in t.items() if c.dtype == "i4" and c.refers is None}
    assert found == others
