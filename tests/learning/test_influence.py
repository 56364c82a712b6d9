"""No event, whatever it holds and whatever the rates, makes a stored number non-finite or moves a row beyond a bound.

The bound: no coordinate of a vector and no bias is ever beyond ±MOST, so no event moves one by more than 2 · MOST. And one
event touches so many rows at most: for each of its steps (one, and one for each rehearsal) a user, an item and negatives, and
the items of a history.
"""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.events.event import MOST_TIME, MOST_VALUE
from streammf.learning.bounds import MOST, MOST_ERROR
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import TABLES, Array, State
from tests.learning.arrays import Model, batch, model

USERS, ITEMS = 4, 6
VECTORS = ("users.factor", "users.bias", "items.factor", "items.bias", "implicit.factor")
#: Everything that an option allows, its limits first.
RATES = st.sampled_from([0.0, 100.0, 1e-30, 0.05, 1.0, 17.3])
DAYS = st.sampled_from([0.0, 1e-9, 100_000.0, 30.0])
VALUES = st.one_of(
    st.sampled_from([-MOST_VALUE, MOST_VALUE, 0.0, -0.0, 1e-45, -1e-38]),
    st.floats(-MOST_VALUE, MOST_VALUE, width=32),
)
WEIGHTS = st.sampled_from([0.0, 1e-45, 1e-38, 0.5, 1.0, 100.0])
TIMES = st.one_of(st.sampled_from([0, 1, MOST_TIME, 1_700_000_000_000]), st.integers(0, MOST_TIME))
EVENTS = st.lists(
    st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), VALUES, WEIGHTS, TIMES), min_size=1, max_size=25
)


@st.composite
def options(draw: st.DrawFn) -> LearningOptions:
    least = draw(st.sampled_from([-1e6, 0.0, 1.0]))
    return LearningOptions(
        objective=draw(st.sampled_from(["ranking", "rating"])),
        factors=draw(st.sampled_from([1, 3, 8])),
        history=draw(st.sampled_from([0, 1, 5])),
        recent=draw(st.sampled_from([1, 4, 50])),
        negatives=draw(st.integers(0, 3)),
        rehearsals=draw(st.integers(0, 3)),
        user_rate=draw(RATES),
        item_rate=draw(RATES),
        history_rate=draw(RATES),
        bias_rate=draw(RATES),
        regularisation=draw(RATES),
        bias_regularisation=draw(RATES),
        rank_decay=draw(st.sampled_from([1e-30, 0.9, 1.0])),
        history_half_life=draw(DAYS),
        popularity_half_life=draw(DAYS),
        user_half_life=draw(DAYS),
        late_half_life=draw(DAYS),
        scale=(least, draw(st.sampled_from([least + 1e-3, least + 4.0, 1e6]))),
    )


def columns(state: State) -> dict[str, Array]:
    return {
        f"{table.name}.{column}": getattr(getattr(state, table.name), column) for table in TABLES for column, _ in table.items()
    }


#: -inf, the log of nothing, stands in them where no event has counted yet.
LOGS = {"items.log_popularity", "audience.popularity", "measures.bar"}


def check(made: Model, before: dict[str, Array], chosen: LearningOptions) -> None:
    """What one event did to the state."""
    after = columns(made.state)
    for name, array in after.items():
        if name in {
            "items.log_popularity",
            "audience.popularity",
            "measures.bar",
        }:  # -inf, the log of nothing: no event has counted yet
            assert not np.isnan(array).any()
            assert not (array == np.inf).any()
        else:
            assert np.isfinite(array).all(), name
    for name in VECTORS:
        assert np.abs(after[name]).max() <= MOST, name
        assert np.abs(after[name] - before[name]).max() <= 2 * MOST, name
    assert np.abs(after["users.history_value"]).max() <= 1 + MOST_ERROR
    steps = 1 + chosen.rehearsals
    most = {
        "users.factor": steps,
        "items.factor": steps * (1 + chosen.negatives),
        "implicit.factor": steps * chosen.history,
        "users.history_item": 1,
        "items.log_popularity": 1,
        "recent.item": 1,
    }
    for name, rows in most.items():
        changed = np.any((after[name] != before[name]).reshape(len(after[name]), -1), axis=1)
        assert changed.sum() <= rows, name


@settings(max_examples=300, deadline=None)
@given(chosen=options(), events=EVENTS)
def test_no_event_makes_a_number_that_is_not_finite_or_moves_a_row_beyond_the_bound(
    chosen: LearningOptions, events: list[tuple[Any, ...]]
) -> None:
    made = model(chosen, USERS, ITEMS, len(events))
    learn = learner(chosen)
    for offset, (user, item, value, weight, time) in enumerate(events):
        before = {name: array.copy() for name, array in columns(made.state).items()}
        learn(*made, batch([user], [item], value=[value], weight=[weight], time=[time], offset=[offset]))
        check(made, before, chosen)
