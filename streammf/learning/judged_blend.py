"""Measuring a model with a blend: one event's item ranked by the blend and by every simple method.

Rules of this file:
1. All methods rank the same items at the same moment, as an answer just before the event would have; see judging.py.
2. Called, not inlined, and one loop over one list: the features are compiled here once.
"""

from streammf.learning.arguments import Real
from streammf.learning.blend import lay_out
from streammf.learning.compiling import apart, inner
from streammf.learning.desk import Desk, candidate, clear, put_candidate
from streammf.learning.features import write_features
from streammf.learning.guard import guard
from streammf.learning.history import recall_past
from streammf.learning.judging import mark_had, offer_listed, put_others, stands_for
from streammf.learning.methods import OF_BLEND, method_score
from streammf.learning.prequential import Jury, every, had_item, note_list, note_top, note_values, write_ranking
from streammf.learning.rates import Rates
from streammf.learning.room import Room
from streammf.learning.scan import arrange, empty
from streammf.learning.tables import HORIZONS, MEASURES, State
from streammf.learning.taste import taste_at


@inner
def judge(state: State, rates: Rates, desk: Desk, jury: Jury, item: int, served: int) -> None:
    """jury.rank = the rank of `item` among the candidates by each method; jury's list = the best by method `served`."""
    now = state.whole.clock[0]
    for method in range(OF_BLEND):
        jury.rank[method] = 0.0
    empty(jury.list_scores, jury.list_rows)
    number = candidate(desk, item)
    for n in range(-1, desk.used[0]):
        if n == number:
            continue
        place = n if n >= 0 else number
        row = desk.row[place]
        if n >= 0 and (state.items.events[row] == 0 or jury.had[n] == 1):
            continue
        write_features(state, rates.neighbour_decay, desk, row, place, now, jury.feature)
        many = stands_for(state, jury, place)
        for method in range(OF_BLEND):
            score = method_score(method, desk.weight, jury.feature)
            if n < 0:
                jury.own[method] = score
            elif not score < jury.own[method]:
                jury.rank[method] += 0.5 * many if score == jury.own[method] else many
            if method == served:
                offer_listed(jury, score, row)


@apart
def measure_blend(state: State, rates: Rates, room: Room, desk: Desk, jury: Jury, user: int, item: int, key: int) -> None:
    """Measure how well a user's choice of a known item is foretold, unless the user had it."""
    block = state.users.seen_block[user]
    if had_item(state.seen, block, item):
        return
    taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
    lay_out(state, rates, room, desk, user, recall_past(state.users, rates, user, desk.past))
    put_candidate(desk, item)
    put_others(state, desk, jury, key)
    mark_had(state.seen, block, desk, jury)
    served = state.measures.serving[0]  # newcomers get its lists too
    judge(state, rates, desk, jury, item, served)
    clear(desk)
    for method in range(OF_BLEND):
        write_ranking(jury.rank[method], jury.value[method * MEASURES : (method + 1) * MEASURES])
    many = 1.0 * every(rates, state.whole.taught[0])
    note_values(state.measures, rates.measure_fade, many, jury.value, OF_BLEND, served)
    note_list(state.measures, jury.list_rows, arrange(jury.list_scores, jury.list_rows))
    guard(state, OF_BLEND)


@inner
def note_tops(state: State, item: int, weight: Real) -> None:
    """Keep the catalogue and the lists of its most popular items, after an event of `item`."""
    state.measures.catalogue[0] = max(state.measures.catalogue[0], item + 1)
    if weight > 0:
        for horizon in range(HORIZONS):
            note_top(state.measures, horizon, state.audience.popularity[:, horizon], item)
