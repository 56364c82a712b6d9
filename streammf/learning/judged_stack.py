"""Measuring the stack: what each of its parts has foretold of a rating, side by side.

Rules of this file:
1. Nothing is foretold here: the stack has done so for every rating, before it learns from it.
"""

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.foretelling import WHOLE
from streammf.learning.judged_factors import write_error
from streammf.learning.methods import OF_STACK
from streammf.learning.prequential import Jury, every, note_values
from streammf.learning.rates import Rates
from streammf.learning.tables import MEASURES, PARTS, Array, State


@inner
def place_of(part: int) -> int:
    """Where a part of the stack stands among the methods: the stack itself is the model."""
    return 0 if part == WHOLE else 1 + part


@inner
def measure_stack(state: State, rates: Rates, foretold: Array, jury: Jury, rating: Real) -> None:
    """Measure how well each part of the stack has foretold a rating."""
    for part in range(PARTS):
        place = place_of(part)
        write_error(rates, foretold[part], rating, jury.value[place * MEASURES : (place + 1) * MEASURES])
    many = 1.0 * every(rates, state.whole.taught[0])
    note_values(state.measures, rates.measure_fade, many, jury.value, OF_STACK, place_of(state.stack.serving[0]))
