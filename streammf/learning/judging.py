"""Whom an event's item is ranked against when it is measured, at bounded cost.

Rules of this file:
1. The rank among all items that the user has not had, as `measures` defines it, is estimated. Items that may well stand
   first are counted one by one: what the desk holds already, the most popular ones, some drawn from the recent events. The
   rest is counted by UNIFORM draws from the catalogue, each for as many items as it stands for (Hansen and Hurwitz 1943).
   A catalogue of up to WHOLE items is counted whole.
2. What this misses are items that nobody speaks for and that vectors alone would put first, where they are fewer than
   about one in a hundred of the catalogue: it flatters methods of vectors, popularity and neighbours not at all.
   tests/learning/test_prequential.py holds it against ranking every item.
"""

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.desk import Desk, candidate, put_candidate
from streammf.learning.draws import below, draw
from streammf.learning.prequential import DRAWS, MOST_BLOCKS, RECENT, UNIFORM, WHOLE, Jury
from streammf.learning.scan import sink
from streammf.learning.tables import Seen, State


@inner
def put_others(state: State, desk: Desk, jury: Jury, key: int) -> None:
    """Make candidates of popular, recent and drawn items; jury.drawn says which are only drawn, and how often."""
    catalogue = state.measures.catalogue[0]
    if catalogue <= WHOLE:
        for row in range(catalogue):
            put_candidate(desk, row)
    else:
        for row in state.measures.top[0]:
            if row >= 0:
                put_candidate(desk, row)
        ring = min(state.whole.taught[0], len(state.recent.item))
        for n in range(RECENT if ring > 0 else 0):
            put_candidate(desk, state.recent.item[below(draw(key, DRAWS + 1 + n), ring)])
    certain = desk.used[0]
    for number in range(certain):
        jury.drawn[number] = 0
        jury.had[number] = 0
    if catalogue > WHOLE:
        for n in range(UNIFORM):
            used = desk.used[0]
            number = put_candidate(desk, below(draw(key, DRAWS + 1 + RECENT + n), catalogue))
            if number == used:
                jury.drawn[number] = 0
                jury.had[number] = 0
            if number >= certain:
                jury.drawn[number] += 1


@inner
def mark_had(seen: Seen, block: int, desk: Desk, jury: Jury) -> None:
    """jury.had = 1 for the candidates on a chain."""
    for _ in range(MOST_BLOCKS):
        if block < 0:
            return
        for place in range(seen.items.shape[1]):
            if seen.items[block, place] >= 0:
                number = candidate(desk, seen.items[block, place])
                if number >= 0:
                    jury.had[number] = 1
        block = seen.next[block]


@inner
def stands_for(state: State, jury: Jury, number: int) -> Real:
    """How many items a candidate is counted for."""
    return jury.drawn[number] * (state.measures.catalogue[0] / UNIFORM) if jury.drawn[number] > 0 else 1.0


@inner
def offer_listed(jury: Jury, score: Real, row: int) -> None:
    """Take an item into the list, if it is good enough."""
    narrow = np.float32(score)
    if narrow > jury.list_scores[0] or (narrow == jury.list_scores[0] and row < jury.list_rows[0]):
        jury.list_scores[0] = narrow
        jury.list_rows[0] = row
        sink(jury.list_scores, jury.list_rows, len(jury.list_rows))
