"""The guard: what serves is the model, unless a simple method foretells better by more than noise.

Rules of this file:
1. Two methods are compared on the same events: the mean of the differences of their first measure over the recent ones, in
   units of its standard error. All of it is kept as decayed sums, so the choice is state, the same after any restart.
2. Hysteresis: a simple method takes over when it leads by IN standard errors; the model comes back when it leads. Between
   simple methods the lead that matters is again IN. Nothing is changed on fewer than FEWEST events.
3. For measures of which more is better. (Errors of ratings: the stack has a guard of its own.)
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.methods import MODEL
from streammf.learning.tables import MEASURES, METHODS, Measures, State

#: Standard errors. 3: of a thousand looks at two equal methods about one, and then either serves as well.
IN: Final = 3.0
OUT: Final = 0.0
#: Independent measured events, at least.
FEWEST: Final = 60.0


@inner
def effective(measures: Measures) -> Real:
    """How many events of one weight the recent ones are worth (Kish 1965)."""
    return measures.recent[0] * measures.recent[0] / measures.recent_square[0]


@inner
def advantage(difference: Real, squares: Real, recent: Real, recent_square: Real) -> Real:
    """The mean of differences in units of its standard error, from their decayed sums; 0 where none differed."""
    mean = difference / recent
    spread = squares / recent - mean * mean
    if not spread > 1e-12:
        return 0.0
    return mean / np.sqrt(spread * recent_square) * recent


@inner
def lead(measures: Measures, a: int, b: int) -> Real:
    """By how many standard errors the recent mean of method a exceeds that of b."""
    difference = measures.window[0, a * MEASURES] - measures.window[0, b * MEASURES]
    return advantage(difference, measures.apart[0, a * METHODS + b], measures.recent[0], measures.recent_square[0])


@inner
def best_simple(measures: Measures, methods: int) -> int:
    """The simple method with the highest recent mean; of equal ones the first."""
    best = 1
    for method in range(2, methods):
        if measures.window[0, method * MEASURES] > measures.window[0, best * MEASURES]:
            best = method
    return best


@inner
def guard(state: State, methods: int) -> None:
    """Choose what serves, after an event was measured. methods: how many there are, the model among them."""
    measures = state.measures
    if effective(measures) < FEWEST:
        return
    serving = measures.serving[0]
    best = best_simple(measures, methods)
    chosen = serving
    if serving != MODEL and lead(measures, MODEL, serving) > OUT:
        chosen = MODEL
    if lead(measures, best, chosen) > IN:
        chosen = best
    if chosen != serving:
        measures.serving[0] = chosen
        measures.switched[0] += 1
        measures.since[0] = state.whole.events[0]
