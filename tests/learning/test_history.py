"""What the ring of last events weighs, beyond what the learners' own tests cover."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from tests import oracles
from tests.learning.arrays import batch, model, random_log, read_only


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_answers_weigh_the_history_as_learning_does(objective: Any) -> None:
    options = LearningOptions(
        objective=objective, factors=6, history=5, rank_decay=0.6, history_half_life=9.0, user_half_life=11.0
    )
    made = model(options, users=7, items=12, events=200, partitions=2)
    learner(options)(*made, random_log(seed=2, events=200))
    state = oracles.wide(made.state)
    for user in range(7):
        expected = oracles.taste(state, options, user)
        if state.users.events[user]:
            away = int(state.whole.clock[0]) - int(state.users.last_time[user])
            expected -= (1 - oracles.faded(11.0, away)) * state.users.factor[user]
        np.testing.assert_allclose(answers.user_vector(read_only(made.state), options, user), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("half_lives", [20, 60, 400, 100_000])
def test_a_history_as_old_as_the_hills_says_nothing(half_lives: int) -> None:
    options = LearningOptions(factors=3, history=2, history_half_life=0.01)
    made = model(options, users=2, items=2, events=3)
    learn = learner(options)
    learn(*made, batch([0, 0], [0, 1], time=[0, 1000]))
    made.state.users.factor[0] = 0.0
    made.state.whole.clock[0] = half_lives * 864_000  # others' events have brought it there
    learn(*made, batch([1], [1], time=[half_lives * 864_000], offset=[2]))
    made.state.users.factor[0] = 0.0
    vector = answers.user_vector(read_only(made.state), options, 0)
    np.testing.assert_allclose(vector, 0, atol=2.0 ** (-half_lives / 2))
