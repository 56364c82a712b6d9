"""Measuring a model of vectors alone: an event's item ranked by them and by popularity, or a rating foretold.

Rules of this file:
1. As judged_blend, without its tables: the model is q·z + log-popularity, the simple method log-popularity.
2. Ratings: the errors of what would have been predicted just before, and of biases alone, in the unit of the ratings.
"""

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import apart, inner
from streammf.learning.desk import Desk, candidate, clear, put_candidate
from streammf.learning.guard import guard
from streammf.learning.judging import mark_had, offer_listed, put_others, stands_for
from streammf.learning.mean import mean_rating
from streammf.learning.methods import OF_FACTORS, OF_RATINGS
from streammf.learning.prequential import Jury, every, had_item, note_list, note_top, note_values, write_ranking
from streammf.learning.rates import Rates
from streammf.learning.room import Room
from streammf.learning.scan import arrange, empty, popularity_at
from streammf.learning.tables import MEASURES, Array, State
from streammf.learning.taste import taste_at


@inner
def judge_factors(state: State, rates: Rates, room: Room, desk: Desk, jury: Jury, item: int, served: int) -> None:
    """jury.rank = the rank of `item` among the candidates by each method; jury's list = the best by method `served`."""
    fade = rates.popularity_decay * state.whole.clock[0]
    for method in range(OF_FACTORS):
        jury.rank[method] = 0.0
    empty(jury.list_scores, jury.list_rows)
    number = candidate(desk, item)
    for n in range(-1, desk.used[0]):
        place = n if n >= 0 else number
        row = desk.row[place]
        if n == number or (n >= 0 and (state.items.events[row] == 0 or jury.had[n] == 1)):
            continue
        popularity = np.float64(popularity_at(state.items.log_popularity[row], fade))
        score = np.float32(0.0)
        for f in range(len(room.z)):
            score += room.z[f] * state.items.factor[row, f]
        many = stands_for(state, jury, place)
        for method in range(OF_FACTORS):
            says = popularity + score if method == 0 else popularity
            if n < 0:
                jury.own[method] = says
            elif not says < jury.own[method]:
                jury.rank[method] += 0.5 * many if says == jury.own[method] else many
            if method == served:
                offer_listed(jury, says, row)


@apart
def measure_factors(state: State, rates: Rates, room: Room, desk: Desk, jury: Jury, user: int, item: int, key: int) -> None:
    """Measure how well a user's choice of a known item is foretold, unless the user had it."""
    block = state.users.seen_block[user]
    if had_item(state.seen, block, item):
        return
    taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
    put_candidate(desk, item)
    put_others(state, desk, jury, key)
    mark_had(state.seen, block, desk, jury)
    served = state.measures.serving[0] if state.users.taught[user] > 0 else 1
    judge_factors(state, rates, room, desk, jury, item, served)
    clear(desk)
    for method in range(OF_FACTORS):
        write_ranking(jury.rank[method], jury.value[method * MEASURES : (method + 1) * MEASURES])
    many = 1.0 * every(rates, state.whole.taught[0])
    note_values(state.measures, rates.measure_fade, many, jury.value, OF_FACTORS, served)
    note_list(state.measures, jury.list_rows, arrange(jury.list_scores, jury.list_rows))
    guard(state, OF_FACTORS)


@inner
def note_most_popular(state: State, item: int, weight: Real) -> None:
    """Keep the catalogue and the list of its most popular items, after an event of `item`."""
    state.measures.catalogue[0] = max(state.measures.catalogue[0], item + 1)
    if weight > 0:
        note_top(state.measures, 0, state.items.log_popularity, item)


@inner
def write_error(rates: Rates, score: Real, rating: Real, value: Array) -> None:
    """value = squared and absolute error of a prediction, in quarters of the scale from its middle."""
    off = rates.middle + rates.quarter * min(max(score, -2.0), 2.0) - rating
    value[0] = off * off
    value[1] = abs(off)
    value[2] = 0.0


@apart
def measure_rating(state: State, rates: Rates, room: Room, jury: Jury, user: int, item: int, rating: Real) -> None:
    """Measure how well a rating is foretold."""
    taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
    score = np.float64(mean_rating(state.whole) + state.users.bias[user] + state.items.bias[item])
    write_error(rates, score, rating, jury.value[MEASURES : 2 * MEASURES])
    for f in range(len(room.z)):
        score += room.z[f] * state.items.factor[item, f]
    write_error(rates, score, rating, jury.value[:MEASURES])
    many = 1.0 * every(rates, state.whole.taught[0])
    note_values(state.measures, rates.measure_fade, many, jury.value, OF_RATINGS, 0)
