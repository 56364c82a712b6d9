"""Prequential measures: a share of events is foretold by every method before it is learned from (Dawid 1984; Gama 2013).

Rules of this file:
1. Which events are measured follows from the event's key and the number of events learned from: never from batches.
   Of choices those count that `measures` counts: the item is known and new to the user. A reciprocal rank, as a gain, is 0
   beyond the tenth place: only so is it known without ranking every item.
2. Kept are sums: since the start, each event for as many as it stands for, and decayed by the number of measured events.
   Means and standard errors follow from them (standing.py).
3. `top` holds the most popular items at each half-life. All popularity fades alike, so only the item of an event can rise: a
   list that is kept from the first event on is exact.
"""

from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import Real, array_type, tuple_type
from streammf.learning.compiling import inner
from streammf.learning.draws import draw, unit
from streammf.learning.methods import SERVED
from streammf.learning.rates import Rates
from streammf.learning.room import spaced
from streammf.learning.tables import LISTED, LISTS, MEASURES, METHODS, TOPS, Array, Measures, Seen, State

#: The young log: events that are measured OFTENER times as often.
YOUNG: Final = 20_000
OFTENER: Final = 4
#: The first number of these draws; those of learning are below.
DRAWS: Final = 1 << 22
#: Items drawn from the ring of recent events, and from the whole catalogue.
RECENT: Final = 64
UNIFORM: Final = 128
#: A catalogue that is ranked whole.
WHOLE: Final = 512
#: Blocks of the chain of seen items that are read: users who had more than some four thousand items are not measured.
MOST_BLOCKS: Final = 256
#: Places in a list.
K: Final = float(LISTED)


class Jury(NamedTuple):
    """Room for what every method says of one event."""

    own: Array  # float64 (METHODS,): scores of the event's item
    rank: Array  # float64 (METHODS,): how many items stand before it
    value: Array  # float64 (METHODS * MEASURES,)
    feature: Array  # float32 (FEATURES,)
    drawn: Array  # int32 (candidates,): how often one was drawn; 0: it is there for certain
    had: Array  # uint8 (candidates,): 1: the user had it
    list_rows: Array  # int32 (LISTED,)
    list_scores: Array  # float32 (LISTED,)


JURY = tuple_type(
    [
        array_type("f8", 1), array_type("f8", 1), array_type("f8", 1), array_type("f4", 1), array_type("i4", 1),
        array_type("u1", 1), array_type("i4", 1), array_type("f4", 1),
    ],
    Jury,
)  # fmt: skip


def most_measured(horizons: int) -> int:
    """The most candidates that measuring adds to those of neighbours and peers: see `put_others`."""
    return max(horizons * TOPS + RECENT + UNIFORM, WHOLE) + 1


def jury(candidates: int, features: int) -> Jury:
    """A jury for desks of so many candidates."""
    return Jury(
        own=spaced(METHODS, "f8"),
        rank=spaced(METHODS, "f8"),
        value=spaced(METHODS * MEASURES, "f8"),
        feature=spaced(features, "f4"),
        drawn=spaced(candidates, "i4"),
        had=spaced(candidates, "u1"),
        list_rows=spaced(LISTED, "i4"),
        list_scores=spaced(LISTED, "f4"),
    )


@inner
def every(rates: Rates, taught: int) -> int:
    """One event in so many is measured."""
    return rates.measure if taught >= YOUNG else max(rates.measure // OFTENER, 1)


@inner
def measured(state: State, rates: Rates, key: int) -> bool:
    """Whether the event of this key is measured."""
    return rates.measure > 0 and unit(draw(key, DRAWS)) * every(rates, state.whole.taught[0]) < 1.0


@inner
def had_item(seen: Seen, block: int, item: int) -> bool:
    """Whether the chain holds the item; True too where it is too long to be read."""
    for _ in range(MOST_BLOCKS):
        if block < 0:
            return False
        for place in range(seen.items.shape[1]):
            if seen.items[block, place] == item:
                return True
        block = seen.next[block]
    return block >= 0


@inner
def write_ranking(rank: Real, value: Array) -> None:
    """value = hit, gain, reciprocal rank of an item with `rank` items before it; all 0 beyond the tenth place."""
    value[0] = 1.0 if rank < K else 0.0
    value[1] = 1.0 / np.log2(rank + 2.0) if rank < K else 0.0
    value[2] = 1.0 / (rank + 1.0) if rank < K else 0.0


@inner
def note_values(measures: Measures, fade: Real, stands_for: Real, value: Array, methods: int, served: int) -> None:
    """Add the measures of one event, value[m * MEASURES + q] of each method; `served` is the one that an answer came from."""
    for q in range(MEASURES):
        value[SERVED * MEASURES + q] = value[served * MEASURES + q]
    measures.counted[0] += 1
    measures.stands_for[0] += stands_for
    measures.recent[0] = fade * measures.recent[0] + 1.0
    measures.recent_square[0] = fade * fade * measures.recent_square[0] + 1.0
    for n in range(METHODS * MEASURES):
        if n < methods * MEASURES or n >= SERVED * MEASURES:
            measures.total[0, n] += stands_for * value[n]
            measures.window[0, n] = fade * measures.window[0, n] + value[n]
    for a in range(METHODS):
        for b in range(METHODS):
            if (a < methods or a == SERVED) and (b < methods or b == SERVED):
                off = value[a * MEASURES] - value[b * MEASURES]
                measures.apart[0, a * METHODS + b] = fade * measures.apart[0, a * METHODS + b] + off * off


@inner
def note_top(measures: Measures, horizon: int, popularity: Array, item: int) -> None:
    """Keep the list of the most popular items, after the popularity of `item` rose. popularity: of all items."""
    top = measures.top[0, horizon * TOPS : (horizon + 1) * TOPS]
    own = popularity[item]
    if not own > measures.bar[0, horizon]:
        return
    found = False
    for place in range(TOPS):
        if top[place] == item:
            found = True
    if found:
        return
    least = 0
    for place in range(TOPS):
        if top[place] < 0:
            top[place] = item
            return
        if popularity[top[place]] < popularity[top[least]]:
            least = place
    measures.bar[0, horizon] = popularity[top[least]]
    if own > popularity[top[least]]:
        top[least] = item


@inner
def note_list(measures: Measures, rows: Array, held: int) -> None:
    """Note a list that would have been given."""
    first = (measures.lists[0] % LISTS) * LISTED
    for place in range(LISTED):
        measures.listed[0, first + place] = rows[place] if place < held else -1
    measures.lists[0] += 1
