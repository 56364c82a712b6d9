"""A step is the gradient of the loss it is said to be: compared with finite differences of the loss itself."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, State
from tests import oracles
from tests.learning.arrays import Model, batch, model

USER, ITEM, OTHERS = 1, 6, (7, 8)
PLAIN: dict[str, Any] = {"factors": 4, "history": 3, "rank_decay": 0.7, "late_half_life": 0.0, "user_half_life": 0.0}
NOW = 1_600_000_000_000
STEP = 1e-5


def prepared(options: LearningOptions) -> Model:
    """A model in the middle of its life: random vectors and a user with a full history of items 1, 2, 3."""
    made = model(options, users=3, items=9, events=5)
    chance = np.random.default_rng(0)
    for column in (made.state.users.factor, made.state.items.factor, made.state.implicit.factor):
        column[:] = chance.normal(0, 0.5, column.shape)
    made.state.users.bias[:] = 0.1
    made.state.items.bias[:] = -0.2
    made.state.users.taught[USER] = made.state.users.events[USER] = 3
    made.state.users.history_item[USER] = [1, 2, 3]
    made.state.users.history_value[USER] = [0.5, 1.5, 1.0]
    made.state.users.history_time[USER] = NOW // 1000 - 60
    made.state.users.last_time[USER] = made.state.whole.clock[0] = NOW
    made.state.whole.value_count[0] = 1e12  # the mean stands still
    return made


def slope(loss: Callable[[State], float], state: State, column: Array, at: tuple[int, ...]) -> float:
    """∂loss/∂column[at], by a central difference."""
    kept = column[at]
    column[at] = kept + STEP
    above = loss(state)
    column[at] = kept - STEP
    below = loss(state)
    column[at] = kept
    return (above - below) / (2 * STEP)


def assert_steps_down(made: Model, options: LearningOptions, loss: Callable[[State], float], log: Any) -> None:
    """Learning from one event moves every coordinate by -rate times the slope of the loss."""
    state = oracles.wide(made.state)
    learner(options)(*made, log)
    columns = (
        (state.users.factor, made.state.users.factor, options.user_rate, (USER,)),
        (state.items.factor, made.state.items.factor, options.item_rate, (ITEM, *OTHERS)),
        (state.implicit.factor, made.state.implicit.factor, options.history_rate, (1, 2, 3)),
    )
    for before, after, rate, rows in columns:
        for row in rows:
            for f in range(options.factors):
                expected = -rate * slope(loss, state, before, (row, f))
                assert after[row, f] - before[row, f] == pytest.approx(expected, rel=1e-2, abs=2e-6)


def l2(state: State, items: tuple[int, ...]) -> float:
    """What the step regularises: every vector that it touches."""
    rows = [state.users.factor[USER], *(state.items.factor[i] for i in items), *state.implicit.factor[1:4]]
    return sum(float(row @ row) for row in rows) / 2


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_rating_steps_down_the_squared_error(weight: float) -> None:
    options = LearningOptions(objective="rating", rehearsals=0, regularisation=0.1, **PLAIN)
    made = prepared(options)

    def loss(state: State) -> float:
        error = oracles.error_of(state, options, USER, ITEM, value=1.0)  # a 4 on the scale 1..5
        return weight * error**2 / 2 + options.regularisation * l2(state, (ITEM,))

    assert_steps_down(made, options, loss, batch([USER], [ITEM], value=[4], weight=[weight], time=[NOW]))


@pytest.mark.parametrize("table", ["users", "items"])
def test_a_rating_moves_the_biases_down_the_squared_error(table: str) -> None:
    options = LearningOptions(objective="rating", rehearsals=0, bias_regularisation=0.3, bias_rate=0.01, **PLAIN)
    made = prepared(options)
    state, row = oracles.wide(made.state), {"users": USER, "items": ITEM}[table]
    column = getattr(state, table).bias

    def loss(state: State) -> float:
        error = oracles.error_of(state, options, USER, ITEM, value=1.0)
        return error**2 / 2 + options.bias_regularisation * float(column[row]) ** 2 / 2

    learner(options)(*made, batch([USER], [ITEM], value=[4], time=[NOW]))
    rate = 1 / (getattr(state, table).taught[row] + options.bias_prior)
    moved = getattr(made.state, table).bias[row] - column[row]
    assert moved == pytest.approx(-rate * slope(loss, state, column, (row,)), rel=1e-3)


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_a_choice_steps_down_the_log_loss_of_the_item_and_of_those_drawn(weight: float) -> None:
    options = LearningOptions(objective="ranking", blend=False, rehearsals=0, negatives=2, regularisation=0.1, seed=0, **PLAIN)
    made = prepared(options)
    made.state.recent.item[:2] = OTHERS
    made.state.whole.taught[0] = 2
    draws = next(o for o in range(100) if {oracles.draw(0, 0, o, n, 2) for n in (1, 2)} == {0, 1})

    def loss(state: State) -> float:
        z = oracles.taste(state, options, USER)
        total = -math.log(oracles.sigmoid(float(z @ state.items.factor[ITEM])))
        total -= sum(math.log(1 - oracles.sigmoid(float(z @ state.items.factor[i]))) for i in OTHERS)
        return weight * total + options.regularisation * l2(state, (ITEM, *OTHERS))

    log = batch([USER], [ITEM], weight=[weight], time=[NOW], offset=[draws])
    assert_steps_down(made, options, loss, log)
