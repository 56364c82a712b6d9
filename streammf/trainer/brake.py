"""Stops learning that has diverged, before what it learned is published or kept.

Rules of this file:
1. Each event is judged by itself, after its batch: it is wild where a coordinate of its user or its item stands beyond LIMIT,
   which no log at sane rates comes near. `learning.bounds` keeps wild rows finite, and so does not notice them.
2. Once more than a share of the last WINDOW events are wild, whatever the batches are, the model has diverged: DivergedError.
   Every commit was judged before it began, so the last one is good, in that sense. A wild user, or an attack on some rows,
   stops nobody.
"""

from typing import Final

import numpy as np
from numba import types
from numpy.typing import NDArray

from streammf.errors import DivergedError
from streammf.learning.ahead import fetch
from streammf.learning.arguments import Batch, array_type
from streammf.learning.bounds import MOST
from streammf.learning.compiling import inner, kernel
from streammf.learning.tables import Array, State

#: Half of what a coordinate may be. With the defaults the largest on any log tried is below 3.
LIMIT: Final = np.float32(MOST / 2)
#: Events that are judged together.
WINDOW: Final = 1_000
#: Events between asking memory for rows and looking at them.
AHEAD: Final = 4

ROWS, FACTORS, FLAGS = array_type("i4", 1), array_type("f4", 2), array_type("u1", 1)


@inner
def beyond(factors: Array, row: int) -> int:
    """How many coordinates of the row stand beyond LIMIT, or are none. All are looked at: that goes eight at a time."""
    outside = 0
    for f in range(factors.shape[1]):
        outside += not (abs(factors[row, f]) <= LIMIT)
    return outside


@kernel(types.void(FACTORS, FACTORS, ROWS, ROWS, FLAGS), allocates=False, brief=True)
def find_wild(users: Array, items: Array, user: Array, item: Array, wild: Array) -> None:
    """wild[n] = 1 where event n is."""
    for n in range(len(wild)):
        if n + AHEAD < len(wild):
            fetch(users, user[n + AHEAD])
            fetch(items, item[n + AHEAD])
        wild[n] = beyond(users, user[n]) + beyond(items, item[n]) > 0


class Brake:
    """Judges the events of one trainer. `share`: of WINDOW events; 1: never stops."""

    def __init__(self, share: float) -> None:
        self._most = share * WINDOW
        self._flags: NDArray[np.uint8] = np.zeros(WINDOW - 1, np.uint8)
        """Of the last events, but for one."""

    def judge(self, state: State, batch: Batch) -> None:
        """Raise DivergedError where the model has diverged with these events."""
        wild = np.empty(len(batch.user), np.uint8)
        find_wild(state.users.factor, state.items.factor, batch.user, batch.item, wild)
        flags = np.concatenate((self._flags, wild))
        self._flags = flags[-WINDOW + 1 :]
        if not flags.any():
            return
        sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)))
        worst = int((sums[WINDOW:] - sums[:-WINDOW]).max(initial=0))
        if worst > self._most:
            raise DivergedError(
                f"the model has diverged: the vectors of {worst:,} of {WINDOW:,} events in a row stand beyond {LIMIT:g}; it is "
                "back at the last commit and answers from there, and learning has stopped: lower the rates in [learning]"
            )
