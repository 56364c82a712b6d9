"""The sketch of new ids: a slow count says the same, and what it may say too much is bounded."""

from collections import Counter

import numpy as np
import pytest

from streammf.learning.compiling import ready
from streammf.learning.options import MOST_MET
from streammf.learning.tables import SKETCH, Array
from streammf.state.sketch import HALVED, counter, meet, meet_all

ROWS, WIDTH = SKETCH


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def empty() -> tuple[Array, Array]:
    return np.zeros(ROWS * WIDTH, np.uint8), np.zeros(1, np.int64)


def keys(count: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def times(met: Array, key: np.uint64) -> int:
    return min(int(met[counter(key, row)]) for row in range(ROWS))


def test_each_id_is_counted_by_itself_where_there_are_few() -> None:
    met, counted = empty()
    known = keys(50)
    order = known[np.random.default_rng(2).integers(0, 50, 2_000)]
    exact: Counter[int] = Counter()
    for key in order:
        exact[int(key)] += 1
        assert meet(met, counted, key) == exact[int(key)]
    assert counted[0] == len(order)


def test_a_kernel_call_counts_what_one_by_one_is_counted() -> None:
    order = keys(400)[np.random.default_rng(3).integers(0, 400, 1_000)]
    (met, counted), (again, counted_again) = empty(), empty()
    for key in order:
        meet(met, counted, key)
    for part in np.split(order, [1, 8, 500]):
        meet_all(again, counted_again, part)
    assert met.tolist() == again.tolist()
    assert counted.tolist() == counted_again.tolist()


def test_a_counter_ends_where_its_byte_does() -> None:
    met, counted = empty()
    key = keys(1)[0]
    assert [meet(met, counted, key) for _ in range(MOST_MET + 3)][-4:] == [MOST_MET - 1 + 1, MOST_MET, MOST_MET, MOST_MET]


def test_after_so_many_ids_every_count_is_halved() -> None:
    met, counted = empty()
    often, others = keys(1)[0], keys(HALVED - 9, seed=5)
    meet_all(met, counted, np.repeat(often, 9))
    meet_all(met, counted, others)
    assert (times(met, often), counted[0]) == (9, HALVED)
    assert meet(met, counted, often) == 9 // 2 + 1
    assert counted[0] == 1
    assert met.max() <= 9 // 2 + 1


def test_who_came_once_is_seldom_taken_for_who_came_before() -> None:
    met, counted = empty()
    meet_all(met, counted, keys(HALVED, seed=7))
    wrong = np.mean([times(met, key) > 0 for key in keys(20_000, seed=8)])
    assert 0.01 < wrong < 1 / 30, "(1 - 1/√e)⁴ = 2.4 %: no better than it can be, and no worse"
