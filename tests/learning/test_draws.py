"""Draws and first values: pure functions, spread as they should be."""

import numpy as np
import pytest

from streammf.learning import draws
from streammf.learning.draws import fill_normal
from tests import oracles
from tests.inners import compiled

mix, draw = compiled(draws.mix), compiled(draws.draw)
below, event_key = compiled(draws.below), compiled(draws.event_key)


def drawn(seed: int, partition: int, offset: int, number: int, bound: int) -> int:
    """Python hands 64 bits on as they are only where they say that they are unsigned."""
    key = np.uint64(event_key(seed, partition, offset))
    return int(below(np.uint64(draw(key, number)), bound))


@pytest.mark.parametrize("x", [0, 1, 2**63, 2**64 - 1])
def test_mix_is_splitmix64(x: int) -> None:
    assert int(mix(np.uint64(x))) == oracles.mix(x)


def test_a_draw_depends_on_seed_partition_offset_and_number_alone() -> None:
    for event in [(1, 0, 0, 0, 10), (2**62, 31, 10**12, 7, 20_000), (0, 5, 3, 2, 1)]:
        seed, partition, offset, number, bound = event
        assert drawn(seed, partition, offset, number, bound) == oracles.draw(*event)


def test_draws_are_spread_evenly() -> None:
    numbers = [drawn(1, p, o, n, 10) for p in range(3) for o in range(300) for n in range(10)]
    counts = np.bincount(numbers, minlength=10)
    assert np.all(np.abs(counts - 900) < 5 * np.sqrt(900))


def test_first_values_are_normal_and_know_nothing_of_rows() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 4000, dtype=np.uint64)
    column = np.zeros((5000, 5), np.float32)
    fill_normal(column, 1000, keys, 7, 0.1)
    values = column[1000:].ravel()
    assert values.mean() == pytest.approx(0, abs=0.003)
    assert values.std() == pytest.approx(0.1, rel=0.03)
    assert np.all(column[:1000] == 0)
    elsewhere = np.zeros((4000, 5), np.float32)
    fill_normal(elsewhere, 0, keys[::-1].copy(), 7, 0.1)
    np.testing.assert_array_equal(elsewhere[::-1], column[1000:])
