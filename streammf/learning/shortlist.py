"""The blend's answer: a shortlist that each way of recommending adds to, and the exact score of everything on it.

Rules of this file:
1. On the shortlist stand: what neighbours and peers speak for, and the first of one scan over all items, as many as are asked
   for and no fewer than SCANNED (screening.py): what is not on the list has less of everything together.
2. Read-only state, which a trainer may change meanwhile: rows that the caller's counts do not cover are no candidates.
3. While the guard lets a simple method serve, its weights stand in for the blend's: the rest is the same.
4. Order: the higher score, then the lower row. A score that is no number is no candidate.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import types

from streammf.learning.arguments import FROZEN_STATE, array_type, tuple_type
from streammf.learning.blend import FIRST_GAP, activity_of, lay_out, write_weights
from streammf.learning.compiling import inner, kernel
from streammf.learning.conjugate import BENCH, Bench, solve
from streammf.learning.desk import DESK, Desk, candidate, clear, put_candidate
from streammf.learning.features import (
    SOURCE_OF,
    SOURCES,
    weigh,
    write_features,
)
from streammf.learning.history import recall_past
from streammf.learning.least_squares import RIDGE, grown, unseen_weight, write_choices
from streammf.learning.methods import write_method
from streammf.learning.rates import RATES, Rates
from streammf.learning.readings import read
from streammf.learning.room import ROOM, Room, spaced
from streammf.learning.scan import ROWS, among, arrange, empty, sink
from streammf.learning.screening import SCREEN, Screen, scan, screen
from streammf.learning.tables import FEATURES, Array, State
from streammf.learning.taste import taste_at

#: At least so many of the scan.
SCANNED: Final = 200
#: Conjugate-gradient steps for somebody whose vector is not stored: from nothing to nearly there.
VISITOR_STEPS: Final = 8


class Places(NamedTuple):
    """The heap of the scan, and the list itself."""

    screen: Screen
    rows: Array  # int32 (k,): the answer
    scores: Array  # float32 (k,)
    shares: Array  # float32 (k, SOURCES)
    mean: Array  # float64 (FEATURES,): of the shortlist
    feature: Array  # float32 (FEATURES,)


PLACES = tuple_type(
    [SCREEN, array_type("i4", 1), array_type("f4", 1), array_type("f4", 2), array_type("f8", 1), array_type("f4", 1)],
    Places,
)  # fmt: skip


def places(k: int, factors: int) -> Places:
    """Places for a list of k items, of so many factors each."""
    return Places(
        screen=screen(max(k, SCANNED), factors),
        rows=spaced(k, "i4"),
        scores=spaced(k, "f4"),
        shares=spaced((k, len(SOURCES)), "f4"),
        mean=spaced(FEATURES, "f8"),
        feature=spaced(FEATURES, "f4"),
    )


def most_listed(k: int) -> int:
    """The most candidates that a list of k items adds to those of neighbours and peers."""
    return max(k, SCANNED)


@inner
def lay_out_visitor(state: State, rates: Rates, room: Room, desk: Desk, bench: Bench, held: int) -> None:
    """As lay_out, for somebody without a row whose last items are desk.past[:held] and whose vector is room.z."""
    read(state, rates, held, -1, desk)
    total = write_choices(bench, held)
    for back in range(held):
        bench.rows[back] = desk.past[back]
    for f in range(len(bench.x)):
        bench.x[f] = 0.0
    if held > 0:
        unseen = unseen_weight(state.grams, grown(state.grams, rates.solved_decay, state.whole.clock[0]))
        ridge = RIDGE * (total + unseen * state.grams.items[0])
        solve(state.grams.item[0], unseen, ridge, state.solved_items.factor, held, VISITOR_STEPS, bench)
    for f in range(len(desk.z)):
        desk.z[f] = room.z[f]
        desk.solution[f] = bench.x[f]
    write_weights(state.blend, rates.features, activity_of(held), FIRST_GAP if held > 0 else 0, desk)


@inner
def put_scanned(desk: Desk, count: int, places: Places) -> None:
    """Make candidates of what the heap holds."""
    for row in places.screen.rows:
        if row < count:
            put_candidate(desk, row)


@inner
def score_listed(state: State, rates: Rates, desk: Desk, count: int, excluded: Array, places: Places) -> int:
    """Write the best candidates into places.rows and scores; returns how many there are."""
    now = state.whole.clock[0]
    empty(places.scores, places.rows)
    for f in range(FEATURES):
        places.mean[f] = 0.0
    listed = 0
    for number in range(desk.used[0]):
        row = desk.row[number]
        if row < 0 or row >= count or state.items.events[row] == 0 or among(row, excluded):
            continue
        write_features(state, rates.neighbour_decay, desk, row, number, now, places.feature)
        score = np.float32(weigh(desk.weight, places.feature))
        listed += 1
        for f in range(FEATURES):
            places.mean[f] += (places.feature[f] - places.mean[f]) / listed
        if score > places.scores[0] or (score == places.scores[0] and row < places.rows[0]):
            places.scores[0] = score
            places.rows[0] = row
            sink(places.scores, places.rows, len(places.rows))
    return arrange(places.scores, places.rows)


@inner
def write_shares(state: State, rates: Rates, desk: Desk, held: int, places: Places) -> None:
    """Which source lifts each item above the mean of the shortlist, and by what part of all that lifts it."""
    now = state.whole.clock[0]
    for place in range(held):
        row = places.rows[place]
        shares = places.shares[place]
        for source in range(len(shares)):
            shares[source] = 0.0
        write_features(state, rates.neighbour_decay, desk, row, candidate(desk, row), now, places.feature)
        for f in range(FEATURES):
            shares[SOURCE_OF[f]] += np.float32(desk.weight[f] * (places.feature[f] - places.mean[f]))
        best = 0
        total = np.float32(0.0)
        for source in range(len(shares)):
            if shares[source] > shares[best]:
                best = source
            total += max(shares[source], np.float32(0.0))
        for source in range(len(shares)):
            if total > 0:
                shares[source] = max(shares[source], np.float32(0.0)) / total
            else:
                shares[source] = 1.0 if source == best else 0.0


@kernel(
    types.int64(
        FROZEN_STATE, RATES, ROOM, DESK, BENCH, PLACES, types.int64, types.int64, types.int64, ROWS, types.int64
    ),
    allocates=False,
    part="blend",
)  # fmt: skip
def list_blended(
    state: State,
    rates: Rates,
    room: Room,
    desk: Desk,
    bench: Bench,
    places: Places,
    user: int,
    held: int,
    count: int,
    excluded: Array,
    only: int,
) -> int:
    """Write the best of the items 0..count-1 into places.rows, scores and shares; returns how many there are.

    user: a row; -1: somebody without one, whose last items are desk.past[:held] and whose vector is room.z. excluded:
    ascending rows. only: the one item that is to be scored; -1: all of them.
    """
    if user >= 0:
        held = recall_past(state.users, rates, user, desk.past)
        taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
        lay_out(state, rates, room, desk, user, held)
    else:
        lay_out_visitor(state, rates, room, desk, bench, held)
    write_method(state.measures.serving[0], desk)
    if only < 0:
        scan(state, desk, count, excluded, places.screen)
        put_scanned(desk, count, places)
        found = score_listed(state, rates, desk, count, excluded, places)
        write_shares(state, rates, desk, found, places)
    else:
        now = state.whole.clock[0]
        write_features(state, rates.neighbour_decay, desk, only, candidate(desk, only), now, places.feature)
        places.rows[0] = only
        places.scores[0] = weigh(desk.weight, places.feature)
        found = 1
    clear(desk)
    return found
