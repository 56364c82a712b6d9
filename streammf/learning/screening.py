"""The scan of the blend's shortlist: all items, by all that is known of one for which neither neighbours nor peers speak.

Rules of this file:
1. Nearly the score: logs are taken quickly, sums are float32. What comes out is scored again.
2. Items are read a block at a time, one thing after the other: loops over a block become vector instructions. Taken item by
   item it is twice as slow.
"""

from typing import NamedTuple

import numpy as np

from streammf.learning.arguments import Real, array_type, tuple_type
from streammf.learning.audience import FADES, LEAST_EVENTS
from streammf.learning.compiling import inner
from streammf.learning.desk import Desk
from streammf.learning.features import AGE, FACTORS, IDLE, LEAST_SOLVED, LOG_SQUARES, SQUARES
from streammf.learning.room import spaced
from streammf.learning.scan import BLOCK, empty, score_block, take_block
from streammf.learning.tables import HORIZONS, Array, State


class Screen(NamedTuple):
    """The heap of the scan, and a block's sums."""

    rows: Array  # int32 (n,)
    scores: Array  # float32 (n,)
    taste: Array  # float32 (k,): the person's vector, times what it weighs
    none: Array  # float32 (BLOCK,): 0
    solved: Array  # float32 (BLOCK,): the score by least squares
    sums: Array  # float32 (BLOCK,)


SCREEN = tuple_type([array_type("i4", 1)] + [array_type("f4", 1)] * 5, Screen)


def screen(scanned: int, factors: int) -> Screen:
    """Room for the `scanned` first of a scan over vectors of so many factors."""
    blocks = (spaced(BLOCK, "f4") for _ in range(3))
    return Screen(spaced(scanned, "i4"), spaced(scanned, "f4"), spaced(factors, "f4"), *blocks)


@inner
def quick_log(x: Real) -> Real:
    """log x of a float32 > 0, to 1e-4 and the rounding of float32: the exponent's bits, and a polynomial of the rest."""
    bits = np.float32(x).view(np.int32)
    rest = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)
    cubic = np.float32(-1.4699568) + (np.float32(0.44717955) - np.float32(0.056570851) * rest) * rest
    log_of_rest = np.float32(-1.7417939) + (np.float32(2.8212026) + cubic * rest) * rest
    return np.float32(0.6931472) * np.float32((bits >> 23) - 127) + log_of_rest


@inner
def add_popularity(popularity: Array, desk: Desk, now: int, sums: Array) -> None:
    """How many chose an item, at every half-life. popularity: float64 (n, HORIZONS)."""
    least = np.log(LEAST_EVENTS)
    for horizon in range(HORIZONS):
        faded = FADES[horizon] * now
        weight = np.float32(desk.weight[horizon])
        for n in range(len(sums)):
            sums[n] += weight * np.float32(max(popularity[n, horizon] - faded, least))


@inner
def add_times(last_time: Array, first_time: Array, desk: Desk, now: int, sums: Array) -> None:
    """How long ago an item was chosen, and first met. last_time, first_time: int64 (n,), ms."""
    of_idle, of_age = np.float32(desk.weight[IDLE]), np.float32(desk.weight[AGE])
    for n in range(len(sums)):
        idle = np.float32(max(now - last_time[n], 0)) * np.float32(1e-3) + np.float32(60.0)
        age = np.float32(max(now - first_time[n], 0)) * np.float32(1e-3) + np.float32(3600.0)
        sums[n] += of_idle * quick_log(idle) + of_age * quick_log(age)


@inner
def add_solved(solved: Array, desk: Desk, sums: Array) -> None:
    """The score by least squares, and its log."""
    itself, log = np.float32(desk.weight[SQUARES]), np.float32(desk.weight[LOG_SQUARES])
    for n in range(len(sums)):
        sums[n] += itself * solved[n] + log * quick_log(max(solved[n], np.float32(0.0)) + np.float32(LEAST_SOLVED))


@inner
def drop_unmet(events: Array, sums: Array) -> None:
    """What no event has reached and nobody has described is no candidate."""
    for n in range(len(sums)):
        sums[n] = sums[n] if events[n] != 0 else np.float32(-np.inf)


@inner
def scan(state: State, desk: Desk, count: int, excluded: Array, screen: Screen) -> None:
    """Fill the heap from the items 0..count-1, without those `excluded`: ascending rows."""
    items, audience, now = state.items, state.audience, state.whole.clock[0]
    empty(screen.scores, screen.rows)
    for f in range(len(screen.taste)):
        screen.taste[f] = np.float32(desk.weight[FACTORS]) * desk.z[f]
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        none, solved, sums = screen.none[: last - first], screen.solved[: last - first], screen.sums[: last - first]
        score_block(items.factor[first:last], screen.taste, none, 0.0, sums)
        score_block(state.solved_items.factor[first:last], desk.solution, none, 0.0, solved)
        add_solved(solved, desk, sums)
        add_times(items.last_time[first:last], items.first_time[first:last], desk, now, sums)
        add_popularity(audience.popularity[first:last], desk, now, sums)
        drop_unmet(items.events[first:last], sums)
        take_block(first, sums, excluded, screen.rows, screen.scores)
