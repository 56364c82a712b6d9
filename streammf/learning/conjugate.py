"""Conjugate gradients for (a · gram + ridge + Σ w v v') x = Σ w v, where all that speaks are a Gram matrix and some vectors.

Rules of this file:
1. The matrix is never formed: a step costs k² + 2 k per vector (Hestenes and Stiefel 1952).
2. Vectors of the usual length are read four at a time, in loops whose length the compiler knows: .6 of the time.
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
def usual_product(gram: Array, part: Real, ridge: Real, vectors: Array, held: int, goal: Real, bench: Bench) -> None:
    """`product` of vectors of the USUAL length, which the compiler knows."""
    k, way, out, rows, weight = USUAL, bench.way, bench.image, bench.rows, bench.weight
    for f in range(k):
        out[f] = ridge * way[f]
    for g in range(0, k, 4):
        a, b, c, d = part * way[g], part * way[g + 1], part * way[g + 2], part * way[g + 3]
        one, two, three, four = g * k, (g + 1) * k, (g + 2) * k, (g + 3) * k
        for f in range(k):
            out[f] += np.float32((gram[one + f] * a + gram[two + f] * b) + (gram[three + f] * c + gram[four + f] * d))
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
    add_pulls(vectors, held - held % 4, held, goal, bench)


@inner
def add_pulls(vectors: Array, first: int, last: int, goal: Real, bench: Bench) -> None:
    """Add w v (v·way - goal) of the vectors in bench.rows[first:last] to bench.image."""
    for j in range(first, last):
        vector = vectors[bench.rows[j]]
        along = -goal
        for f in range(len(bench.way)):
            along += vector[f] * bench.way[f]
        along *= bench.weight[j]
        for f in range(len(bench.way)):
            bench.image[f] += along * vector[f]


@inner
def product(gram: Array, part: Real, ridge: Real, vectors: Array, held: int, goal: Real, bench: Bench) -> None:
    """bench.image = (part · gram + ridge) way + Σ w v (v·way - goal), where way is bench.way; goal: float32."""
    k = len(bench.way)
    if k == USUAL:
        usual_product(gram, part, ridge, vectors, held, goal, bench)
        return
    for f in range(k):
        total = 0.0
        for g in range(k):
            total += gram[f * k + g] * bench.way[g]
        bench.image[f] = part * total + ridge * bench.way[f]
    add_pulls(vectors, 0, held, goal, bench)


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
    square: Real = np.float32(0.0)
    for step in range(steps + 1):  # the first finds where the start stands: the product stands here once, it compiles for long
        product(gram, part, ridge, vectors, held, np.float32(1.0 if step == 0 else 0.0), bench)
        if step == 0:
            for f in range(len(x)):
                way[f] = residual[f] = -image[f]
            square = squared(residual)
        else:
            curve = np.float32(0.0)
            for f in range(len(x)):
                curve += way[f] * image[f]
            if not curve > SOLVED * square:
                return
            far = square / curve
            for f in range(len(x)):
                x[f] += far * way[f]
                residual[f] -= far * image[f]
            left = squared(residual)
            for f in range(len(x)):
                way[f] = residual[f] + left / square * way[f]
            square = left
        if not square > SOLVED:
            return


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
