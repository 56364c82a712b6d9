"""The arithmetic of forgetting."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streammf.learning.decay import faded, log_sum
from streammf.learning.rates import MS_A_DAY, decay


@pytest.mark.parametrize(("days", "age", "left"), [(1, 1, 0.5), (1, 2, 0.25), (10, 5, 2**-0.5), (1, 0, 1), (1, -3, 1)])
def test_a_half_life_halves(days: float, age: float, left: float) -> None:
    assert faded(decay(days), int(age * MS_A_DAY)) == pytest.approx(left)


def test_a_half_life_of_0_is_no_decay() -> None:
    assert faded(decay(0.0), 10**15) == 1.0


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_log_sum_is_the_log_of_the_sum(a: float, b: float) -> None:
    assert log_sum(a, b) == pytest.approx(float(np.logaddexp(a, b)), rel=1e-12)


def test_log_sum_takes_the_log_of_nothing() -> None:
    assert log_sum(-math.inf, 3.0) == 3.0
    assert log_sum(3.0, -math.inf) == 3.0
    assert log_sum(-math.inf, -math.inf) == -math.inf
