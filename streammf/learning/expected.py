"""What a user's ratings of some items are expected to be, for answers: by the part of the stack that serves."""

from numba import types

from streammf.learning.arguments import FROZEN_STATE, array_type
from streammf.learning.compiling import kernel
from streammf.learning.foretelling import foretell_item, lay_out_person
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.slate import SLATE, Slate
from streammf.learning.tables import Array, State


@kernel(
    types.void(FROZEN_STATE, RATES, ROOM, SLATE, types.int64, array_type("i4", 1, readonly=True), array_type("f8", 1)),
    allocates=False,
    part="stack",
)
def expect(state: State, rates: Rates, room: Room, slate: Slate, user: int, rows: Array, out: Array) -> None:
    """out[n] = the rating of rows[n], in quarters of the scale from its middle, not cut to it. Rows and user may be -1.

    room.z: the vector of the user, or of somebody without a row.
    """
    lay_out_person(state.users, rates, user, slate)
    for n in range(len(rows)):
        foretell_item(state, rates, room, user, rows[n], slate)
        out[n] = slate.foretold[state.stack.serving[0]]
