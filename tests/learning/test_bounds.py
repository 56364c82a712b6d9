"""No rate and no event makes a number that is not finite."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.learner import learner
from streammf.learning.options import DEFAULTS, LearningOptions
from streammf.learning.tables import State
from tests.learning.arrays import batch, model, random_log, read_only

RATES = ("user_rate", "item_rate", "history_rate", "regularisation")


def assert_finite(state: State) -> None:
    for table in state:
        for name, column in zip(table._fields, table, strict=True):
            bad = np.isnan(column) if name in ("log_popularity", "popularity") else ~np.isfinite(column)  # -inf: no event yet
            assert not bad.any(), name


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_rates_a_hundred_times_too_high_stay_finite(objective: Any) -> None:
    fast = {name: min(DEFAULTS[objective][name] * 100, 100.0) for name in RATES}
    options = LearningOptions(objective=objective, blend=True, factors=8, bias_rate=1.5, bias_prior=1.0, **fast)  # type: ignore[arg-type]
    made = model(options, users=7, items=12, events=3000, partitions=2)
    learner(options)(*made, random_log(seed=1, events=3000))
    assert_finite(made.state)
    state = read_only(made.state)
    assert np.isfinite(answers.predict(state, made.counts, options, 0, 0))
    none = np.empty(0, np.int32)
    assert np.isfinite(answers.recommend(state, made.counts, options, 0, none, 12, none).scores).all()


@pytest.mark.parametrize("objective", ["ranking", "rating"])
@pytest.mark.parametrize("scale", [(-1e6, 1e6), (0.0, 1e-3), (1.0, 5.0)])
def test_values_weights_and_times_at_their_limits_stay_finite(objective: Any, scale: tuple[float, float]) -> None:
    options = LearningOptions(
        objective=objective,
        blend=True,
        factors=8,
        scale=scale,
        user_half_life=1e-9,
        history_half_life=1e-9,
        late_half_life=1e-9,
    )
    chance = np.random.default_rng(2)
    n = 2000
    made = model(options, users=4, items=5, events=n)
    log = batch(
        chance.integers(0, 4, n),
        chance.integers(0, 5, n),
        value=chance.choice([-1e6, 0.0, 1e6, *scale], n),
        weight=chance.choice([1e-38, 1e-3, 1.0, 100.0], n),
        time=chance.choice([0, 1_600_000_000_000, 4_294_967_295_000], n),
    )
    learner(options)(*made, log)
    assert_finite(made.state)
    assert scale[0] <= answers.predict(read_only(made.state), made.counts, options, 0, 0) <= scale[1] or (
        objective == "ranking"
    )
