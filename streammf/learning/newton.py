"""The step of an online Newton method on all weights of the blend together (Hazan, Agarwal, Kale 2007).

  A ← forget · A + weight · s s'          s: the slope of one event's log-loss, a number a feature
  w ← w + weight · (A + ridge)⁻¹ s

Rules of this file:
1. Features say much the same (popularity at four half-lives, four readings of one list), and each step goes by all of them at
   once: against steps that scale each weight by its own slopes the small log gained a fiftieth of its recall.
2. A is a sum of squares: no pivot is below the ridge but by rounding, which is not let through. A feature that is not weighed
   has slope 0, and its weight stays.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.tables import Array

#: What speaks against every step from the beginning: in slopes squared, of which an event brings about 1.
RIDGE: Final = 10.0


@inner
def note_slope(curvature: Array, slope: Array, weight: Real, forget: Real) -> None:
    """Add an event's slope to A, which `curvature` holds row by row."""
    k = len(slope)
    for f in range(k):
        row = curvature[f * k : (f + 1) * k]
        own = weight * slope[f]
        for g in range(k):
            row[g] = forget * row[g] + own * slope[g]


@inner
def factorise(curvature: Array, triangle: Array) -> None:
    """triangle = L of A + ridge = L L' (Cholesky)."""
    k = len(triangle)
    for f in range(k):
        for g in range(f + 1):
            left = curvature[f * k + g]
            for h in range(g):
                left -= triangle[f, h] * triangle[g, h]
            if g < f:
                triangle[f, g] = left / triangle[g, g]
            else:
                triangle[f, f] = np.sqrt(max(left + RIDGE, RIDGE))


@inner
def solve_by(triangle: Array, slope: Array) -> None:
    """slope ← (L L')⁻¹ slope."""
    k = len(slope)
    for f in range(k):
        for h in range(f):
            slope[f] -= triangle[f, h] * slope[h]
        slope[f] /= triangle[f, f]
    for back in range(k):
        f = k - 1 - back
        for h in range(f + 1, k):
            slope[f] -= triangle[h, f] * slope[h]
        slope[f] /= triangle[f, f]
