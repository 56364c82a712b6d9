"""What each part of the stack foretells, event by event.

Rules of this file:
1. Learning begins with foretelling, by all parts; what they said then is told, so that measuring costs hardly anything.
"""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.foretelling import foretell_item, lay_out_person
from streammf.learning.options import LearningOptions
from streammf.learning.prequential import JURY, Jury, jury
from streammf.learning.rates import RATES, Rates, rates
from streammf.learning.room import ROOM, Room, room
from streammf.learning.slate import SLATE, Slate, slate
from streammf.learning.stacked import learn_stacked
from streammf.learning.tables import FEATURES, PARTS, Array, State
from streammf.learning.taste import taste_at

#: Columns of what is foretold: what was served, and every part.
PREDICTIONS: Final = ("served", "biases", "factors", "stack")


@kernel(
    types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, SLATE, JURY, array_type("f8", 2)), allocates=False, part="measuring"
)
def _foretell(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, slate: Slate, jury: Jury, out: Array
) -> None:
    for n in range(len(batch.user)):
        serving = state.stack.serving[0]
        taught = state.whole.taught[0]
        learn_stacked(state, marks, counts, batch, rates, room, slate, jury, n)
        if state.whole.taught[0] == taught:
            foretell_alone(state, rates, room, slate, batch.user[n], batch.item[n])
        for part in range(PARTS):
            out[n, 1 + part] = rates.middle + rates.quarter * min(max(slate.foretold[part], -2.0), 2.0)
        out[n, 0] = out[n, 1 + serving]


@inner
def foretell_alone(state: State, rates: Rates, room: Room, slate: Slate, user: int, item: int) -> None:
    """Let all parts foretell a rating that teaches nothing, and so was not foretold to learn from it."""
    taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
    lay_out_person(state.users, rates, user, slate)
    foretell_item(state, rates, room, user, item, slate)


def foretell_by_parts(state: State, marks: Marks, counts: Array, batch: Batch, options: LearningOptions) -> Array:
    """Learn from the batch; returns what each rating was expected to be just before: float64 (n, PREDICTIONS)."""
    out = np.empty((len(batch.user), len(PREDICTIONS)))
    dimensions = options.dimensions
    _foretell(state, marks, counts, batch, rates(options), room(dimensions), slate(dimensions), jury(0, FEATURES), out)
    return out
