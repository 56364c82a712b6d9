"""The vector that an answer starts from: z_u as it is at the event clock.

The same functions weigh the history here and in learning: what is served is what was learned.
"""

from numba import types

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.decay import faded
from streammf.learning.history import gather, weigh_history
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.tables import TABLES, Array, Users

_columns = next(table for table in TABLES if table.name == "users").items()
USERS = tuple_type([array_type(c.dtype, 1 if c.width == 1 else 2, readonly=True) for _, c in _columns], Users)


@inner
def taste_at(users: Users, implicit: Array, rates: Rates, room: Room, user: int, now: int) -> None:
    """room.z = z_u at `now`, with p_u shrunk as the user's next event would shrink it."""
    held = 0
    if rates.history > 0:
        held = weigh_history(users, rates, user, now, -1, room.share)
    gather(users, implicit, user, room.share, held, room.z)
    if users.events[user] > 0:
        lost = 1.0 - faded(rates.user_decay, now - users.last_time[user])
        for f in range(len(room.z)):
            room.z[f] -= lost * users.factor[user, f]


@kernel(types.void(USERS, array_type("f4", 2, readonly=True), RATES, ROOM, types.int64, types.int64), allocates=False)
def taste(users: Users, implicit: Array, rates: Rates, room: Room, user: int, now: int) -> None:
    """taste_at, for Python."""
    taste_at(users, implicit, rates, room, user, now)
