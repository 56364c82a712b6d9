"""The stack: all that foretells a rating (foretelling.py), weighed by recursive least squares.

Rules of this file:
1. It learns from what was foretold before the rating was learned from. The loss is error² + 2 ABSOLUTE |error|: a rating weighs
   more the closer it was foretold. Squares alone would let a log of nearly all top ratings be foretold too low, to be less
   wrong about the few others.
2. The inverse stays symmetric (one half is computed), positive (else it starts anew) and no greater on its diagonal than it
   began: forgetting cannot let what is never seen grow without bound. Features, errors and weights are within bounds.
3. The guard: damped means alone (biases), vectors and biases (factors), and the stack each foretell every rating. Who serves
   gives way to a part that was better lately in squared error, by a margin, and not worse in absolute error. A young model
   serves biases.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.bounds import MOST_ERROR
from streammf.learning.compiling import inner
from streammf.learning.foretelling import BIASED, FACTORED, WHOLE
from streammf.learning.slate import Slate
from streammf.learning.tables import PARTS, Array, Stack

#: What is left of a rating's weight at the next: half after 7,000.
FORGET: Final = 0.9999
#: What an absolute error counts beside a squared one, down to an error of LEAST_ERROR.
ABSOLUTE: Final = 0.2
LEAST_ERROR: Final = 0.25
#: The inverse's diagonal at first, and at most.
UNCERTAIN: Final = 0.1
MOST_WEIGHT: Final = 16.0

#: What is left of an error in the guard's sums at the next rating; a part must be better by MARGIN; none before YOUNG ratings.
KEEP: Final = 0.999
MARGIN: Final = 0.01
YOUNG: Final = 200


@inner
def start(stack: Stack) -> None:
    """Know nothing yet of what goes with what."""
    size = stack.weight.shape[1]
    for place in range(size * size):
        stack.inverse[0, place] = UNCERTAIN if place % (size + 1) == 0 else 0.0


@inner
def begin(stack: Stack) -> None:
    """Trust vectors and damped means alike, before the first rating."""
    if stack.judged[0] == 0:
        start(stack)
        stack.weight[0, FACTORED] = 0.5
        stack.weight[0, BIASED] = 0.5


@inner
def judge(stack: Stack, foretold: Array, value: Real, weight: Real) -> None:
    """Note how well each part foretold a rating, and let the best serve."""
    for part in range(PARTS):
        error = value - min(max(foretold[part], -2.0), 2.0)
        stack.squared[0, part] = KEEP * stack.squared[0, part] + weight * error * error
        stack.absolute[0, part] = KEEP * stack.absolute[0, part] + weight * abs(error)
    stack.judged[0] += 1
    if stack.judged[0] <= YOUNG:
        return
    serving = stack.serving[0]
    best = serving
    bar = (1.0 - MARGIN) * stack.squared[0, serving]
    for part in range(PARTS):
        if stack.squared[0, part] < bar and stack.absolute[0, part] <= stack.absolute[0, serving]:
            bar = stack.squared[0, part]
            best = part
    stack.serving[0] = best


@inner
def bound_inverse(inverse: Array, size: int, f: int) -> None:
    """Scale row and column f so that the diagonal is no greater than it began."""
    scale = np.sqrt(UNCERTAIN / inverse[f * size + f])
    for g in range(size):
        if g != f:
            inverse[f * size + g] *= scale
            inverse[g * size + f] *= scale
    inverse[f * size + f] = UNCERTAIN


@inner
def step_stack(stack: Stack, x: Array, gain: Array, error: Real, weight: Real) -> None:
    """One step of recursive least squares. error: rating - prediction."""
    inverse = stack.inverse[0]
    size = len(x)  # not STACKED: numba would unroll every loop, and compile for as long as the rest takes
    spread = 0.0
    for f in range(size):
        total = 0.0
        for g in range(size):
            total += inverse[f * size + g] * x[g]
        gain[f] = total
        spread += x[f] * total
    if not spread >= 0.0:
        start(stack)
        return
    error = min(max(error, -MOST_ERROR), MOST_ERROR)
    scale = FORGET / (weight * (1.0 + ABSOLUTE / max(error, -error, LEAST_ERROR))) + spread
    for f in range(size):
        moved = stack.weight[0, f] + gain[f] / scale * error
        stack.weight[0, f] = min(max(moved, -MOST_WEIGHT), MOST_WEIGHT)
    for f in range(size):
        share = gain[f] / scale
        for g in range(f + 1):
            left = (inverse[f * size + g] - share * gain[g]) / FORGET
            inverse[f * size + g] = left
            inverse[g * size + f] = left
    for f in range(size):
        if not inverse[f * size + f] > 0.0:
            start(stack)
            return
        if inverse[f * size + f] > UNCERTAIN:
            bound_inverse(inverse, size, f)


@inner
def learn_stack(stack: Stack, slate: Slate, value: Real, weight: Real) -> None:
    """Learn from a rating that was laid out and foretold."""
    judge(stack, slate.foretold, value, weight)
    step_stack(stack, slate.feature, slate.gain, value - slate.foretold[WHOLE], weight)
