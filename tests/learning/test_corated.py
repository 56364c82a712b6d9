"""Lists of what the same people rated: what they keep, what they let go."""

from typing import Any

import numpy as np
import pytest

from streammf.learning.corated import BACK, WINDOW, note_pair, place_in, set_of, take_place
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import WAYS, Array, RatedItems
from tests.learning.arrays import Model, batch, model


def learned(users: Any, items: Any, values: Any, **choice: Any) -> Model:
    """A model that knows nothing but these ratings; its vectors and biases stand still."""
    still = {"user_rate": 0.0, "item_rate": 0.0, "history_rate": 0.0, "bias_rate": 0.0, "bias_prior": 1e6, "rehearsals": 0}
    options = LearningOptions(objective="rating", factors=2, **{**still, **choice})
    made = model(options, max(users) + 1, max(items) + 1, len(users))
    learner(options)(*made, batch(users, items, value=values))
    return made


def listed(rated: RatedItems, row: int) -> dict[int, tuple[float, float, float]]:
    """An item's list: item → product, energy, count."""
    return {
        int(other): (float(rated.product[row, n]), float(rated.energy[row, n]), float(rated.support[row, n]))
        for n, other in enumerate(rated.other[row])
        if other >= 0
    }


def residuals(made: Model, user: int) -> Array:
    held = made.state.users.taught[user]
    return made.state.users.history_value[user, :held] - 1.0


def test_a_pair_is_noted_in_both_lists_with_product_and_energy_of_its_residuals() -> None:
    made = learned([0, 0], [3, 4], [5, 2])
    x, y = residuals(made, 0)
    wanted = (x * y, (x * x + y * y) / 2, 1.0)
    np.testing.assert_allclose(listed(made.state.rated_items, 3)[4], wanted, rtol=1e-6)
    np.testing.assert_allclose(listed(made.state.rated_items, 4)[3], wanted, rtol=1e-6)


def test_an_item_is_noted_with_so_many_before_it_and_in_the_lists_of_fewer() -> None:
    made = learned([0] * 20, list(range(20)), [4] * 20)
    rated = made.state.rated_items
    assert set(listed(rated, 19)) == set(range(19 - WINDOW, 19))
    assert [19 in listed(rated, row) for row in range(19)] == [row >= 19 - BACK for row in range(19)]


def test_the_same_item_again_is_no_pair() -> None:
    made = learned([0, 0, 0], [1, 1, 2], [5, 4, 3])
    assert set(listed(made.state.rated_items, 1)) == {2}
    assert listed(made.state.rated_items, 2)[1][2] == 2.0


@pytest.mark.parametrize("places", [8, 104])
def test_every_item_has_a_set_and_the_sets_are_used_alike(places: int) -> None:
    sets = [set_of(row, places) for row in range(10_000)]
    assert set(sets) == set(range(0, places, WAYS))
    assert np.bincount(np.array(sets) // WAYS).max() < 1.3 * 10_000 * WAYS / places


def test_a_full_set_lets_the_least_counted_go_to_a_newcomer_who_inherits_half_its_count() -> None:
    rated = model(LearningOptions(objective="rating", factors=2, neighbours=8), 1, 20, 1).state.rated_items
    for other in range(1, 9):
        note_pair(rated, 0, take_place(rated, 0, other), 0.5, 1.0, 1.0 + (other != 5))
    assert set(listed(rated, 0)) == set(range(1, 9))
    note_pair(rated, 0, take_place(rated, 0, 11), -0.25, 2.0, 1.0)
    found = listed(rated, 0)
    assert set(found) == {1, 2, 3, 4, 6, 7, 8, 11}
    assert found[11] == (-0.25, 2.0, 1.5)
    assert place_in(rated.other[0], 5) == -1
    assert rated.other[0, place_in(rated.other[0], 11)] == 11


def test_sums_are_halved_before_a_count_grows_past_exactness() -> None:
    rated = model(LearningOptions(objective="rating", factors=2), 1, 3, 1).state.rated_items
    place = take_place(rated, 0, 1)
    for _ in range(5_000):
        note_pair(rated, 0, place, 1.0, 2.0, 1.0)
    product, energy, count = listed(rated, 0)[1]
    assert count <= 4096
    assert product == count
    assert energy == 2 * count
