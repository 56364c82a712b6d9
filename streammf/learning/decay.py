"""How time takes weight away. All time is event time, in ms; λ = ln 2 / half-life, per ms; λ = 0 is no decay."""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.tables import Array

#: Sums in which what is new weighs more, instead of what is old less, are brought back to scale when 1 weighs e to this.
MOST_GROWTH: Final = 14.0


@inner
def faded(decay: Real, age: int) -> Real:
    """What is left of 1 after `age` ms: 2^(-age / half-life). What comes from the future has not faded."""
    if decay == 0.0 or age <= 0:
        return 1.0
    return np.exp(-decay * age)


@inner
def shrink(factor: Array, row: int, share: Real) -> None:
    """factor[row] *= share."""
    for f in range(factor.shape[1]):
        factor[row, f] *= np.float32(share)


@inner
def log_sum(a: Real, b: Real) -> Real:
    """log(e^a + e^b). -inf, the log of nothing, is a proper argument."""
    high = max(a, b)
    low = min(a, b)
    return high if low == -np.inf else high + np.log1p(np.exp(low - high))
