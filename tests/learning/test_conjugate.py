"""Conjugate gradients, beside numpy's own solution of the same equations."""

import numpy as np
import pytest

from streammf.learning.conjugate import bench, exchange, solve
from streammf.learning.tables import Dimensions

PART, RIDGE = 0.003, 0.7


@pytest.mark.parametrize("k", [1, 3, 4, 7, 32, 33, 64])
@pytest.mark.parametrize("held", [0, 1, 3, 4, 6, 31])
def test_as_many_steps_as_unknowns_solve_the_equations(k: int, held: int) -> None:
    rng = np.random.default_rng(k)
    rows = rng.normal(size=(3 * k, k))
    gram = rows.T @ rows
    vectors = rng.normal(size=(40, k)).astype(np.float32)
    at = bench(Dimensions(factors=k, history=32, blend=1))
    at.rows[:held] = rng.permutation(40)[:held]
    at.weight[:held] = rng.uniform(0.2, 1.0, held)
    at.x[:] = rng.normal(size=k)
    spoken, weight = vectors[at.rows[:held]].astype(float), at.weight[:held].astype(float)
    system = PART * gram + RIDGE * np.eye(k) + (spoken.T * weight) @ spoken

    solve(gram.ravel(), PART, RIDGE, vectors, held, 2 * k, at)

    np.testing.assert_allclose(at.x, np.linalg.solve(system, spoken.T @ weight), atol=2e-3 if k > 7 else 2e-4)


@pytest.mark.parametrize("k", [5, 32])
def test_two_steps_are_those_of_the_textbook(k: int) -> None:
    rng = np.random.default_rng(k)
    rows = rng.normal(size=(3 * k, k))
    gram = rows.T @ rows
    vectors = rng.normal(size=(9, k)).astype(np.float32)
    at = bench(Dimensions(factors=k, history=9, blend=1))
    at.rows[:9] = np.arange(9)
    at.weight[:9] = 1.0
    system = PART * gram + RIDGE * np.eye(k) + vectors.T.astype(float) @ vectors
    x = rng.normal(size=k)
    at.x[:] = x
    residual = vectors.sum(axis=0) - system @ x
    way = residual.copy()
    for _ in range(2):
        far = residual @ residual / (way @ system @ way)
        x = x + far * way
        left = residual - far * system @ way
        way = left + left @ left / (residual @ residual) * way
        residual = left

    solve(gram.ravel(), PART, RIDGE, vectors, 9, 2, at)

    np.testing.assert_allclose(at.x, x, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("k", [5, 32])
def test_a_vector_taken_out_as_it_was_put_in_leaves_the_others(k: int) -> None:
    rng = np.random.default_rng(k)
    first, second, none = rng.normal(size=(3, k)).astype(np.float32)
    none[:] = 0
    gram = np.zeros(k * k)
    exchange(gram, none, 0.0, first, 1.5)
    exchange(gram, none, 0.0, second, 2.0)
    exchange(gram, first, 1.5, none, 0.0)
    np.testing.assert_allclose(gram.reshape(k, k), 2.0 * np.outer(second.astype(float), second), atol=1e-12)
