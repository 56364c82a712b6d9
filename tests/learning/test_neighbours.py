"""Lists of neighbours: what they keep, what they let go, and what order teaches them."""

from typing import Any

import numpy as np

from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from tests.learning.arrays import Model, batch, model

DAY = 86_400_000
START = 1_600_000_000_000


def learned(users: Any, items: Any, times: Any, **choice: Any) -> Model:
    """A model that knows nothing but these events."""
    options = LearningOptions(blend=True, factors=2, gradient=False, least_squares=False, late_half_life=0.0, **choice)
    made = model(options, max(users) + 1, max(items) + 1, len(users))
    learner(options)(*made, batch(users, items, time=START + np.array(times)))
    return made


def listed(made: Model, item: int) -> dict[int, tuple[float, float, float]]:
    """An item's list: item → near, far, next."""
    table = made.state.neighbours
    return {
        int(other): (float(table.near[item, n]), float(table.far[item, n]), float(table.next[item, n]))
        for n, other in enumerate(table.item[item])
        if other >= 0
    }


def after(pause: int) -> tuple[list[int], list[int], list[int]]:
    """Somebody chooses 0 and 1, somebody else 0 and 2 after a pause; in between a third moves the clock, which takes three."""
    return [0, 0, 2, 2, 2, 1, 1], [0, 1, 3, 3, 3, 0, 2], [0, 0, *[pause] * 5]


def test_what_comes_after_is_nearer_than_what_came_before() -> None:
    made = learned([0, 0, 0], [0, 1, 2], [0, 60_000, 120_000])
    np.testing.assert_allclose(listed(made, 0)[1], (1.0, 1.0, 1.0), rtol=1e-5)
    np.testing.assert_allclose(listed(made, 1)[0], (0.5, 1.0, 0.0), rtol=1e-5)
    np.testing.assert_allclose(listed(made, 0)[2], (0.8, 1.0, 0.0), rtol=1e-5)


def test_the_order_of_a_basket_teaches_nothing() -> None:
    first, other = learned([0, 0], [0, 1], [0, 0]), learned([0, 0], [1, 0], [0, 0])
    assert listed(first, 0)[1] == listed(first, 1)[0] == listed(other, 0)[1] == listed(other, 1)[0]


def test_a_full_list_lets_the_least_go_to_a_newcomer_who_inherits_half() -> None:
    users, items = [], []
    for user, partner in enumerate([1, 1, 1, 2, 2, 3, 4]):
        users += [user, user]
        items += [0, partner]
    made = learned(users, items, 60_000 * np.arange(len(users)), neighbours=3, neighbour_half_life=0.0)
    found = listed(made, 0)
    assert set(found) == {1, 2, 4}
    assert found[4][0] == np.float32(1.5)
    assert made.state.neighbours.near_sum[0] == 7


def test_an_old_pair_counts_half_after_its_half_life() -> None:
    made = learned(*after(10 * DAY), neighbour_half_life=10.0)
    found = listed(made, 0)
    np.testing.assert_allclose(found[1][0] / found[2][0], 0.5, rtol=1e-4)


def test_a_list_that_was_left_for_ages_stays_finite_and_begins_anew() -> None:
    made = learned(*after(400 * DAY), neighbour_half_life=1.0)
    found = listed(made, 0)
    assert found[1][0] < 1e-30
    assert found[2][0] == np.float32(0.75)
    assert made.state.neighbours.base[0] == START + 400 * DAY
