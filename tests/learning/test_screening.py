"""The scan of the shortlist, as Python runs it, beside sums of float64."""

import numpy as np
import pytest

from streammf.learning.audience import FADES, LEAST_EVENTS
from streammf.learning.desk import Desk, desk
from streammf.learning.features import AGE, FACTORS, IDLE, LEAST_SOLVED, LOG_SQUARES, SQUARES
from streammf.learning.options import LearningOptions
from streammf.learning.scan import BLOCK, arrange
from streammf.learning.screening import quick_log, scan, screen
from streammf.learning.tables import HORIZONS, Array, State
from tests.learning.arrays import model

NOW = 1_700_000_000_000
DAY = 86_400_000


def test_a_quick_log_is_within_a_thousandth() -> None:
    for x in np.logspace(-12, 12, 200, dtype=np.float32):
        assert quick_log(x) == pytest.approx(np.log(np.float64(x)), abs=1e-3)


def random_model(items: int) -> tuple[State, Desk]:
    """Items of every kind, a tenth of them not met yet and one only described, and a person."""
    options = LearningOptions(factors=5, history=4)
    state, rng = model(options, users=1, items=items, events=1, partitions=1).state, np.random.default_rng(items)
    state.whole.clock[0] = NOW
    state.items.factor[:] = rng.normal(size=(items, 5))
    state.solved_items.factor[:] = rng.normal(size=(items, 5)) / 3
    state.items.events[:] = rng.random(items) > 0.1
    state.items.events[items // 2] = -1
    state.items.first_time[:] = NOW - rng.integers(0, 300 * DAY, items)
    state.items.last_time[:] = NOW - rng.integers(0, 3 * DAY, items)
    state.audience.popularity[:] = np.array(FADES) * (NOW - 2 * DAY) + rng.normal(3, 3, (items, HORIZONS))
    person = desk(options.dimensions)
    person.z[:] = rng.normal(size=5)
    person.solution[:] = rng.normal(size=5)
    person.weight[:] = rng.uniform(-0.5, 1.0, len(person.weight))
    return state, person


def sums(state: State, person: Desk) -> Array:
    """What each item has of all that needs no neighbour, in float64; -inf: it is no candidate."""
    items, weight = state.items, person.weight
    solved = state.solved_items.factor.astype(float) @ person.solution
    popularity = np.maximum(state.audience.popularity - np.array(FADES) * NOW, np.log(LEAST_EVENTS))
    total = (
        weight[FACTORS] * (items.factor.astype(float) @ person.z)
        + weight[SQUARES] * solved
        + weight[LOG_SQUARES] * np.log(np.maximum(solved, 0) + LEAST_SOLVED)
        + weight[IDLE] * np.log((NOW - items.last_time) / 1000 + 60)
        + weight[AGE] * np.log((NOW - items.first_time) / 1000 + 3600)
        + popularity @ weight[:HORIZONS]
    )
    return np.where(items.events != 0, total, -np.inf)


@pytest.mark.parametrize("items", [1, 3, BLOCK, 3 * BLOCK + 7])
def test_the_heap_holds_the_items_with_the_highest_sums(items: int) -> None:
    state, person = random_model(items)
    excluded = np.arange(0, items, 9, dtype=np.int32)
    found = screen(10, 5)

    scan(state, person, items, excluded, found)

    held = arrange(found.scores, found.rows)
    wanted = sums(state, person)
    wanted[excluded] = -np.inf
    assert held == min(10, np.count_nonzero(np.isfinite(wanted)))
    np.testing.assert_allclose(found.scores[:held], np.sort(wanted)[::-1][:held], atol=5e-3)
    np.testing.assert_allclose(found.scores[:held], wanted[found.rows[:held]], atol=5e-3)
    assert not np.isin(found.rows[:held], excluded).any()


def test_rows_beyond_the_count_are_not_looked_at() -> None:
    state, person = random_model(2 * BLOCK)
    found = screen(2 * BLOCK, 5)
    scan(state, person, BLOCK + 3, np.empty(0, np.int32), found)
    held = arrange(found.scores, found.rows)
    assert held > BLOCK // 2
    assert found.rows[:held].max() < BLOCK + 3
