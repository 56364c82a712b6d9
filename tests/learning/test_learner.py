"""The learners against their oracles, in any batches, with every change marked."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis, State
from tests import blend_oracles, oracles, stack_oracles
from tests.learning.arrays import Model, batch, copied, model, part, random_log

#: What can be learned: both objectives, and each with everything that blend and stack weigh.
OBJECTIVES = ("ranking", "rating", "blend", "stack")
#: What the blend adds; lists and rings short enough that places are taken over.
BLEND: dict[str, Any] = {
    "neighbours": 4,
    "peers": 3,
    "neighbour_half_life": 4.0,
    "solved_half_life": 25.0,
    "blend_young": 150,
    "blend_every": 4,
}


def chosen(objective: str, **choice: Any) -> LearningOptions:
    """The options of a case. Nothing is measured, unless a case says so: test_prequential.py has its oracle."""
    choice = {"measure_every": 0, **choice}
    if objective == "blend":
        return LearningOptions(blend=True, **{**BLEND, **choice})
    if objective == "stack":
        return LearningOptions(objective="rating", neighbours=4, **choice)
    return LearningOptions(objective=objective, blend=False, stack=False, **choice)  # type: ignore[arg-type]


#: Every decay on, short enough to matter on a log of a few hundred days; rings short enough to wrap.
DECAYS: dict[str, Any] = {
    "factors": 5,
    "history": 4,
    "recent": 30,
    "rank_decay": 0.8,
    "history_half_life": 20.0,
    "popularity_half_life": 30.0,
    "user_half_life": 40.0,
    "late_half_life": 3.0,
}

ORACLES: dict[str, Any] = {
    "ranking": oracles.learn_choices,
    "rating": oracles.learn_ratings,
    "blend": blend_oracles.learn_all,
    "stack": stack_oracles.learn_ratings,
}


def learned(options: LearningOptions, log: Any, cuts: list[int] | None = None) -> Model:
    """A new model after the log, cut at these event numbers."""
    made = model(options, users=7, items=12, events=len(log.user), partitions=2)
    borders = [0, *sorted(cuts or []), len(log.user)]
    learn = learner(options)
    for first, last in pairwise(borders):
        learn(*made, part(log, first, last))
    return made


def assert_close(state: State, expected: State, of_weights: float = 1e-4) -> None:
    """of_weights: what may lie between the blend's, whose steps make small differences of slopes as large as great ones."""
    for name in State._fields:
        table, wanted = getattr(state, name), getattr(expected, name)
        for column, got, want in zip(table._fields, table, wanted, strict=True):
            label = f"{name}.{column}"
            if name == "blend":
                np.testing.assert_allclose(got, want, rtol=1e-3, atol=of_weights, err_msg=label)
            elif got.dtype == np.float32 or name in ("grams", "rated_items", "stack"):
                np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5, err_msg=label)
            elif got.dtype == np.float64:
                np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=label)
            else:
                np.testing.assert_array_equal(got, want, err_msg=label)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "choice",
    [
        DECAYS,
        {"factors": 5, "history": 0, "rehearsals": 0, "negatives": 0, "user_half_life": 0.0, "late_half_life": 0.0},
        {"factors": 8, "history": 3, "rehearsals": 5, "negatives": 2, "recent": 1000, "scale": (0.0, 100.0)},
    ],
    ids=["decays", "plain", "rehearsals"],
)
def test_learning_agrees_with_the_oracle(objective: Any, choice: dict[str, Any]) -> None:
    options = chosen(objective, **choice)
    log = random_log(seed=3, events=250)
    got = model(options, users=7, items=12, events=250, partitions=2)
    expected, counts = oracles.wide(got.state), got.counts.copy()
    learner(options)(*got, log)
    ORACLES[objective](expected, counts, log, options)
    assert_close(got.state, expected, of_weights=0.02)
    np.testing.assert_array_equal(got.counts, counts)


@pytest.mark.parametrize("choice", [DECAYS, {"factors": 8, "history": 20, "recent": 1000, "peers": 40}])
def test_each_step_of_the_blend_is_the_oracles(choice: dict[str, Any]) -> None:
    options = chosen("blend", **choice)
    log = random_log(seed=11, events=300)
    got = model(options, users=7, items=12, events=300, partitions=2)
    learn = learner(options)
    for n in range(300):
        expected, counts = oracles.wide(got.state), got.counts.copy()
        one = part(log, n, n + 1)
        learn(*got, one)
        blend_oracles.learn_all(expected, counts, one, options)
        assert_close(got.state, expected, of_weights=1e-3)
    assert got.state.blend.trained[0] > 10


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 200), max_size=30))
def test_batch_borders_change_no_bit(objective: Any, seed: int, cuts: list[int]) -> None:
    options = chosen(objective, **DECAYS)
    log = random_log(seed, events=200)
    whole, cut = learned(options, log), learned(options, log, cuts)
    for tables, others in ((whole.state, cut.state), (whole.marks, cut.marks)):
        for table, other in zip(tables, others, strict=True):
            for column, same in zip(table, other, strict=True):
                assert column.tobytes() == same.tobytes()
    assert whole.counts.tolist() == cut.counts.tolist()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_are_the_same_as_all_at_once(objective: Any, size: int) -> None:
    options = chosen(objective, **DECAYS)
    log = random_log(seed=5, events=1500 if size > 1 else 150)
    whole, cut = learned(options, log), learned(options, log, list(range(0, len(log.user), size)))
    for table, other in zip(whole.state, cut.state, strict=True):
        for column, same in zip(table, other, strict=True):
            assert column.tobytes() == same.tobytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_changed_row_is_marked_exactly_once(objective: Any) -> None:
    options = chosen(objective, **DECAYS)
    log = random_log(seed=7, events=120, users=7, items=12)
    made = learned(options, part(log, 0, 60))
    for mark in made.marks:
        mark.moved[:] = 0
        mark.used[0] = 0
    for n in range(60, 120):
        before = copied(made)
        learner(options)(*made, part(log, n, n + 1))
        for name, mark in zip(made.marks._fields, made.marks, strict=True):
            table, old = getattr(made.state, name), getattr(before.state, name)
            changed = {
                int(row)
                for column, was in zip(table, old, strict=True)
                for row in np.flatnonzero((column != was).reshape(len(column), -1).any(axis=1))
            }
            rows = mark.rows[: mark.used[0]].tolist()
            assert changed <= set(rows), f"{name}: changed without a mark"
            assert len(set(rows)) == len(rows), f"{name}: marked twice"
            assert set(rows) == set(np.flatnonzero(mark.moved).tolist())
            mark.moved[:] = 0
            mark.used[0] = 0


def test_a_mark_adds_up_the_contractions_of_a_rating() -> None:
    options = LearningOptions(objective="rating", factors=4, history=2, rehearsals=0)
    made = model(options, users=2, items=3, events=4)
    learn = learner(options)
    learn(*made, batch([0, 0], [0, 1], value=[5, 1]))
    for mark in made.marks:
        mark.moved[:] = 0
        mark.used[0] = 0
    state = oracles.wide(made.state)
    event = batch([0], [2], value=[4], time=[1_000_000_002_000], offset=[2])
    state.whole.clock[0] = event.time[0]
    z, q = oracles.taste(state, options, user=0), state.items.factor[2]
    shares = dict(oracles.history(state, options, user=0, skip=-1))
    learn(*made, event)
    assert made.marks.items.moved[2] == pytest.approx(options.item_rate * z @ z, rel=1e-4)
    assert made.marks.users.moved[0] == pytest.approx(options.user_rate * q @ q, rel=1e-4)
    for item, share in shares.items():
        expected = options.history_rate * share**2 * (q @ q)
        assert made.marks.implicit.moved[item] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_event_of_weight_0_is_counted_and_seen_and_teaches_nothing(objective: Any) -> None:
    options = chosen(objective, **{**DECAYS, "user_half_life": 0.0})
    log = random_log(seed=9, events=80, longest_gap=3_600_000)
    taught, silent = log.weight > 0, log.weight == 0
    assert silent.any()
    # the largest time is an event of weight > 0, so that dropping the others leaves the clock alone
    log.time[:] = np.maximum.accumulate(log.time)
    log.time[silent] -= 1000
    whole = learned(options, log)
    only = learned(options, type(log)(*(np.ascontiguousarray(column[taught]) for column in log)))
    for column in ("factor", "bias", "taught", "history_item", "history_value"):
        np.testing.assert_array_equal(getattr(whole.state.users, column), getattr(only.state.users, column))
    for column in ("factor", "bias", "taught", "log_popularity"):
        np.testing.assert_array_equal(getattr(whole.state.items, column), getattr(only.state.items, column))
    assert whole.state.recent.item.tolist() == only.state.recent.item.tolist()
    assert whole.state.whole.events[0] == 80
    assert whole.state.whole.taught[0] == taught.sum()
    assert whole.counts[Axis.SEEN] >= only.counts[Axis.SEEN]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_late_event_teaches_less_the_later_it_is(objective: Any) -> None:
    options = chosen(objective, factors=4, history=0, rehearsals=0, negatives=0, late_half_life=1.0)
    moved = []
    for days in (0, 1, 2):
        made = model(options, users=2, items=2, events=2)
        now = 1_600_000_000_000
        learn = learner(options)
        learn(*made, batch([0], [0], time=[now]))
        before = made.state.items.factor[1].copy()
        made.state.users.factor[1] = 0.5
        made.state.whole.value_count[0] = 1e9  # the mean, which a late rating moves less too, stands still
        learn(*made, batch([1], [1], value=[5], time=[now - days * 86_400_000], offset=[1]))
        shrunk = before * (1 - options.item_rate * options.regularisation)
        moved.append(float(np.linalg.norm(made.state.items.factor[1] - shrunk)))
        assert made.state.whole.clock[0] == now
    assert moved[1] == pytest.approx(moved[0] / 2, rel=1e-2)
    assert moved[2] == pytest.approx(moved[0] / 4, rel=1e-2)


def test_a_user_who_was_away_is_forgotten_by_halves_and_a_late_event_takes_nothing_away() -> None:
    options = LearningOptions(factors=4, history=0, rehearsals=0, negatives=0, user_rate=0.0, user_half_life=10.0)
    made = model(options, users=1, items=1, events=3)
    now, day = 1_600_000_000_000, 86_400_000
    learn = learner(options)
    made.state.users.factor[0] = 1.0
    learn(*made, batch([0], [0], time=[now]))
    np.testing.assert_allclose(made.state.users.factor[0], 1.0)  # the first event has nothing to be away from
    made.state.whole.clock[0] = now + 20 * day  # others' events have brought it there
    learn(*made, batch([0], [0], time=[now + 20 * day], offset=[1]))
    np.testing.assert_allclose(made.state.users.factor[0], 0.25, rtol=1e-5)
    learn(*made, batch([0], [0], time=[now + 5 * day], offset=[2]))
    np.testing.assert_allclose(made.state.users.factor[0], 0.25, rtol=1e-5)
    assert made.state.users.last_time[0] == now + 20 * day


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_stamp_of_the_far_future_changes_no_clock_and_three_in_a_row_do(objective: Any) -> None:
    options = chosen(objective, factors=4, history=2)
    made = model(options, users=2, items=2, events=9)
    learn = learner(options)
    now, far = 1_600_000_000_000, 4_294_967_295_000

    def clocks_after(*times: int) -> list[int]:
        clocks = []
        for time in times:
            learn(*made, batch([0], [0], value=[3], time=[time], offset=[int(made.state.whole.events[0])]))
            clocks.append(int(made.state.whole.clock[0]))
        return clocks

    assert clocks_after(now, far, now + 1, far, far, now + 2) == [now, now, now + 1, now + 1, now + 1, now + 2]
    assert made.state.users.last_time[0] == made.state.partitions.clock[0] == now + 2, "it counted as of now"
    assert clocks_after(far, far + 5, far - 1) == [now + 2, now + 2, far - 1]
