"""Limits that keep every number of the model finite, whatever the rates and the events.

Rules of this file:
1. Every coordinate that a step writes goes through `bounded`: finite in, finite and bounded out, so sums and products of
   a few hundred of them stay far inside float32.
2. The limit lies far outside what sane rates reach: it guards, it does not regularise.
"""

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner

#: Largest |coordinate| of a vector. The largest on any log tried with the defaults is below 3.
MOST = np.float32(16.0)
#: Largest |error| of a rating, in quarters of the scale: the whole scale.
MOST_ERROR = 4.0


@inner
def bounded(x: Real) -> Real:
    """x, within ±MOST."""
    if x > MOST:
        return MOST
    return -MOST if x < -MOST else x
