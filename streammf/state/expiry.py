"""Who has been away for so long that nothing of them is kept: looked for at points that are counted in events.

Rules of this file:
1. The points are every so many events, refused ones included, since the store's first. So they stand at the same events
   whatever the batches, commits and restarts, and between two of them nobody is forgotten.
2. Away is who has events and none within so many days of the clock. Who has a row and no event (attributes alone) stays.
3. Refused events move time too: were everybody known to stay away at once, a cap would refuse all others for ever. They are
   believed as others are, where three in a row say so, and move no clock but this one.
4. Forgotten is forgotten: who comes again is new.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, State

#: ms
DAY: Final = 86_400_000


class Expiry:
    """When to look, and whom to forget. It keeps nothing but the options."""

    def __init__(self, options: LearningOptions) -> None:
        self._every = options.forget_every
        self._after = {Axis.USER: options.forget_users_after_days, Axis.ITEM: options.forget_items_after_days}

    def until(self, events: int) -> int:
        """Events, refused ones included, from the `events`-th on to the next point: 1..forget_every."""
        return self._every - events % self._every

    def refused(self, state: State, times: NDArray[np.int64]) -> None:
        """Events of these times (ms since the epoch) were refused, in this order."""
        if not len(times):
            return
        expiry = state.expiry
        told = np.concatenate((expiry.times[0], times))
        attested = np.minimum(np.minimum(told[:-2], told[1:-1]), told[2:])
        expiry.clock[0] = max(int(expiry.clock[0]), int(attested.max()))
        expiry.times[0] = told[-2:]

    def away(self, state: State, counts: Array, axis: Axis) -> NDArray[np.int32]:
        """Rows of users or items that are to be forgotten now, ascending."""
        days = self._after[axis]
        if not days:
            return np.zeros(0, np.int32)
        table = state.users if axis == Axis.USER else state.items
        count = int(counts[axis])
        since = max(int(state.whole.clock[0]), int(state.expiry.clock[0])) - int(days * DAY)
        return np.flatnonzero((table.last_time[:count] < since) & (table.events[:count] > 0)).astype(np.int32)
