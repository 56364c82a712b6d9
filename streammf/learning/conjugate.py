"""Conjugate gradients for (a · gram + ridge + Σ w v v') x = Σ w v, where all that speaks are a Gram matrix and some vectors.

Rules of this file:
1. The matrix is never formed: a step costs k² + 2 k per vector (Hestenes and Stiefel 1952).
2. Four rows are read at a time, and loops of the usual length have it from the compiler: with 32 vectors of 32 numbers a
   product takes .6 of the time that plain loops take.
"""

from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import Real, array_type, tuple_type
from streammf.learning.compiling import apart, inner
from streammf.learning.room import spaced
from streammf.learning.tables import Array, Dimensions

#: A residual that needs no more steps, squared.
SOLVED: Final = 1e-12
#: How many numbers a vector usually has.
USUAL: Final = 32


class Bench(NamedTuple):
    """Where equations are solved."""

    rows: Array  # int32: rows of the vectors that speak
    weight: Array  # float32: what each weighs
    x: Array  # float32 (k,): the start, and the solution
    old: Array  # float32 (k,)
    residual: Array  # float32 (k,)
    way: Array  # float32 (k,)
    image: Array  # float32 (k,)


BENCH = tuple_type([array_type("i4", 1)] + [array_type("f4", 1)] * 6, Bench)


def bench(dimensions: Dimensions) -> Bench:
    """A bench for a model of these dimensions."""
    most = max(dimensions.history, dimensions.peers)
    k = dimensions.solved
    return Bench(spaced(most, "i4"), spaced(most, "f4"), *(spaced(k, "f4") for _ in range(5)))


@inner
def product_of(k: int, gram: Array, part: Real, ridge: Real, vectors: Array, held: int, goal: Real, bench: Bench) -> None:
    """`product` of vectors of k numbers."""
    way, out, rows, weight = bench.way, bench.image, bench.rows, bench.weight
    for f in range(k):
        out[f] = ridge * way[f]
    for g in range(0, k - 3, 4):
        a, b, c, d = part * way[g], part * way[g + 1], part * way[g + 2], part * way[g + 3]
        one = g * k
        two, three, four = one + k, one + 2 * k, one + 3 * k
        for f in range(k):
            out[f] += np.float32((gram[one + f] * a + gram[two + f] * b) + (gram[three + f] * c + gram[four + f] * d))
    for g in range(k - k % 4, k):
        for f in range(k):
            out[f] += np.float32(gram[g * k + f] * part * way[g])
    for j in range(0, held - 3, 4):
        r, s, t, u = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        v, w, x, y = -goal, -goal, -goal, -goal
        for f in range(k):
            v += vectors[r, f] * way[f]
            w += vectors[s, f] * way[f]
            x += vectors[t, f] * way[f]
            y += vectors[u, f] * way[f]
        v *= weight[j]
        w *= weight[j + 1]
        x *= weight[j + 2]
        y *= weight[j + 3]
        for f in range(k):
            out[f] += (v * vectors[r, f] + w * vectors[s, f]) + (x * vectors[t, f] + y * vectors[u, f])
    for j in range(held - held % 4, held):
        r, v = rows[j], -goal
        for f in range(k):
            v += vectors[r, f] * way[f]
        v *= weight[j]
        for f in range(k):
            out[f] += v * vectors[r, f]


@inner
def product(gram: Array, part: Real, ridge: Real, vectors: Array, held: int, goal: Real, bench: Bench) -> None:
    """bench.image = (part · gram + ridge) way + Σ w v (v·way - goal), where way is bench.way; goal: float32."""
    if len(bench.way) == USUAL:
        product_of(USUAL, gram, part, ridge, vectors, held, goal, bench)
    else:
        product_of(len(bench.way), gram, part, ridge, vectors, held, goal, bench)


@inner
def squared(x: Array) -> Real:
    """|x|²."""
    total = np.float32(0.0)
    for f in range(len(x)):
        total += x[f] * x[f]
    return total


@apart
def solve(gram: Array, part: Real, ridge: Real, vectors: Array, held: int, steps: int, bench: Bench) -> None:
    """Steps of bench.x towards (part · gram + ridge + Σ w v v') x = Σ w v, v the vectors in bench.rows[:held].

    gram: (k·k,), symmetric, row by row. vectors: (n, k). Written: bench.x; all else of the bench is used up.
    """
    x, way, residual, image = bench.x, bench.way, bench.residual, bench.image
    for f in range(len(x)):
        way[f] = x[f]
    product(gram, part, ridge, vectors, held, np.float32(1.0), bench)
    for f in range(len(x)):
        way[f] = residual[f] = -image[f]
    square = squared(residual)
    for step in range(steps):
        if not square > SOLVED:
            return
        product(gram, part, ridge, vectors, held, np.float32(0.0), bench)
        curve = np.float32(0.0)
        for f in range(len(x)):
            curve += way[f] * image[f]
        if not curve > SOLVED * square:
            return
        far = square / curve
        for f in range(len(x)):
            x[f] += far * way[f]
        if step + 1 == steps:
            return
        for f in range(len(x)):
            residual[f] -= far * image[f]
        left = squared(residual)
        for f in range(len(x)):
            way[f] = residual[f] + left / square * way[f]
        square = left


@inner
def exchange_of(k: int, gram: Array, old: Array, before: Real, new: Array, after: Real) -> None:
    """`exchange` of vectors of k numbers."""
    for f in range(k):
        plus = after * new[f]
        minus = before * old[f]
        for g in range(k):
            gram[f * k + g] += plus * new[g] - minus * old[g]


@apart
def exchange(gram: Array, old: Array, before: Real, new: Array, after: Real) -> None:
    """gram += after · new new' - before · old old'. gram: (k·k,), row by row; old, new: (k,)."""
    if len(new) == USUAL:
        exchange_of(USUAL, gram, old, before, new, after)
    else:
        exchange_of(len(new), gram, old, before, new, after)
