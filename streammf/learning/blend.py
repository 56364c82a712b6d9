"""The blend: P(item | person, now) ∝ exp(w·x), its weights learned online from what people chose.

Rules of this file:
1. w = w_all + w_activity + w_gap: rows chosen by how many choices the person made and how long ago the last one was.
2. Sampled softmax: the event's item against hard negatives (in proportion to what neighbours and peers say), recent, newest
   and uniform ones; each score is reduced by the log of how often its item is expected to be drawn (Bengio and Senécal
   2008; Yi et al. 2019). Without that the blend is worse than neighbours alone.
3. The blend learns from an event before anything else does: it weighs what the others foretold. It learns from choices of
   items that are known and not in the person's history, every one while the log is young, then from one in so many.
4. Steps that slowly forget: online Newton for w_all (newton.py), AdaGrad for the rows of few people; every weight within
   bounds.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.audience import among_past, latest_of
from streammf.learning.blend_ahead import fetch_drawn
from streammf.learning.compiling import inner
from streammf.learning.desk import COSINE, FAR, HARD, NEAR, NEWEST, PEERS, POPULAR, UNIFORM, Desk, candidate, clear
from streammf.learning.draws import below, draw, unit
from streammf.learning.features import FIRST_WEIGHTS, weigh, write_features
from streammf.learning.history import gather, weigh_history
from streammf.learning.newton import factorise, note_slope, solve_by
from streammf.learning.rates import Rates
from streammf.learning.readings import read
from streammf.learning.room import Room
from streammf.learning.tables import FEATURES, Blend, State

#: Rows of weights: 0 all, 1-7 activity, 8-15 gap.
ACTIVITIES: Final = 7
FIRST_GAP: Final = 8
GAPS: Final = 8
#: s; a gap's row is the log of it in this unit to this base.
GAP_UNIT: Final = 60.0
GAP_BASE: Final = 6.0

#: Rate of the rows of activity and gap.
ROW_RATE: Final = 0.035
FORGET: Final = 0.999
#: Stands in every sum of squares from the beginning: a row that hardly anybody was in yet moves by what its slopes are, not by
#: their signs.
LEAST_SQUARE: Final = 10.0
MOST_WEIGHT: Final = 20.0
#: Events of the log from which nothing is learned yet about blending.
FEWEST: Final = 100
#: Times at most that the share of events from which something is learned is halved.
MOST_HALVINGS: Final = 30
#: What a candidate's cosine counts beside its other readings when hard negatives are drawn.
COSINE_SHARE: Final = np.float32(0.02)
#: The first number of the blend's draws; those of factors are below.
DRAWS: Final = 1 << 20


@inner
def activity_of(choices: int) -> int:
    """The row of weights of somebody who made so many choices."""
    return 1 if choices <= 0 else min(ACTIVITIES, 2 + int(np.log2(np.float64(choices))))


@inner
def gap_of(choices: int, gap: int) -> int:
    """The row of weights of somebody whose last choice was `gap` ms ago; 0: somebody without one."""
    if choices <= 0:
        return 0
    return FIRST_GAP + min(GAPS - 1, int(np.log(1.0 + max(gap, 0) * 1e-3 / GAP_UNIT) / np.log(GAP_BASE)))


@inner
def write_weights(blend: Blend, features: int, activity: int, gap: int, desk: Desk) -> None:
    """desk.weight = what each feature weighs for such a person; 0 for those not in the bits of `features`."""
    for f in range(FEATURES):
        desk.weight[f] = 0.0
        if (features >> f) & 1:
            desk.weight[f] = FIRST_WEIGHTS[f] + blend.weight[0, f] + blend.weight[0, activity * FEATURES + f]
            if gap > 0:
                desk.weight[f] += blend.weight[0, gap * FEATURES + f]


@inner
def lay_out(state: State, rates: Rates, room: Room, desk: Desk, user: int, held: int) -> None:
    """Lay out all that is known of a user whose last items are desk.past[:held] and whose vector is room.z.

    The caller clears the desk.
    """
    now = state.whole.clock[0]
    read(state, rates, held, user, desk)
    for f in range(len(desk.z)):
        desk.z[f] = room.z[f]
        desk.solution[f] = state.solved_users.factor[user, f]
    choices = state.users.taught[user]
    gap = gap_of(choices, now - state.users.last_time[user])
    write_weights(state.blend, rates.features, activity_of(choices), gap, desk)


@inner
def hardness(desk: Desk, number: int) -> Real:
    """What a candidate's chance of being drawn is proportional to."""
    near = desk.reading[number, NEAR] + desk.reading[number, FAR] + COSINE_SHARE * desk.reading[number, COSINE]
    return near + desk.reading[number, PEERS] * desk.scale[0]


@inner
def draw_hard(desk: Desk, total: Real, chance: float, used: int) -> int:
    """Draw HARD candidates, as far apart as they can be (systematic sampling); returns how many are drawn by now."""
    step = total / HARD
    due = chance * step
    passed: Real = 0.0
    last = used + HARD
    for number in range(desk.used[0]):
        passed += hardness(desk, number)
        while passed > due and used < last:
            desk.drawn[used] = desk.row[number]
            used += 1
            due += step
    return used


@inner
def draw_others(state: State, desk: Desk, key: int, used: int) -> int:
    """Draw recent, newest and uniform items; returns how many are drawn by now."""
    recent = state.recent
    taught = state.whole.taught[0]
    size = len(recent.item)
    for n in range(POPULAR + NEWEST + UNIFORM):
        bits = draw(key, DRAWS + 2 + n)
        if n < POPULAR:
            row = np.int64(recent.item[below(bits, min(taught, size))])
        elif n < POPULAR + NEWEST:
            row = np.int64(recent.item[(taught - 1 - below(bits, min(taught, latest_of(recent)))) % size])
        else:
            row = np.int64(below(bits, state.blend.catalogue[0]))
        desk.drawn[used] = row
        used += 1
    return used


@inner
def expected(state: State, desk: Desk, row: int, number: int, total: Real) -> Real:
    """How often an item is expected among the drawn."""
    recent = state.recent
    taught = state.whole.taught[0]
    draws = UNIFORM / state.blend.catalogue[0]
    draws += POPULAR * state.audience.in_recent[row] / min(taught, len(recent.item))
    draws += NEWEST * state.audience.in_latest[row] / min(taught, latest_of(recent))
    if number >= 0 and total > 0:
        draws += HARD * hardness(desk, number) / total
    return draws


@inner
def score_drawn(state: State, rates: Rates, desk: Desk, held: int, drawn: int, total: Real) -> int:
    """Write features and corrected scores of those drawn that count, the event's item first; returns how many they are."""
    now = state.whole.clock[0]
    kept = 0
    for n in range(drawn):
        row = desk.drawn[n]
        if n > 0 and (row == desk.drawn[0] or state.items.events[row] == 0 or among_past(desk.past, held, row)):
            continue
        number = candidate(desk, row)
        write_features(state, rates.neighbour_decay, desk, row, number, now, desk.feature[kept])
        desk.score[kept] = weigh(desk.weight, desk.feature[kept])
        if n > 0:
            desk.score[kept] -= np.log(expected(state, desk, row, number, total))
        kept += 1
    return kept


@inner
def write_slope(features: int, kept: int, desk: Desk) -> None:
    """desk.slope = that of the log-loss of the first of those kept; 0 for what is not in the bits of `features`."""
    highest = desk.score[0]
    for n in range(1, kept):
        highest = max(highest, desk.score[n])
    total = 0.0
    for n in range(kept):
        desk.score[n] = np.exp(desk.score[n] - highest)
        total += desk.score[n]
    for f in range(FEATURES):
        slope = 0.0
        if (features >> f) & 1:
            slope = np.float64(desk.feature[0, f])
            for n in range(kept):
                slope -= desk.score[n] / total * desk.feature[n, f]
        desk.slope[f] = slope


@inner
def move(blend: Blend, at: int, step: Real) -> None:
    """Change a weight, within bounds."""
    blend.weight[0, at] = min(max(blend.weight[0, at] + step, -MOST_WEIGHT), MOST_WEIGHT)


@inner
def step_weights(blend: Blend, activity: int, gap: int, weight: Real, desk: Desk) -> None:
    """One step of the rows that hold for a person, against desk.slope; row 0: none."""
    for which in range(2):
        row = activity if which == 0 else gap
        if row > 0:
            for f in range(FEATURES):
                at = row * FEATURES + f
                slope = weight * desk.slope[f]
                square = FORGET * blend.square[0, at] + slope * slope
                blend.square[0, at] = square
                move(blend, at, ROW_RATE * slope / np.sqrt(square + LEAST_SQUARE))
    note_slope(blend.curvature[0], desk.slope, weight, FORGET)
    factorise(blend.curvature[0], desk.triangle)
    solve_by(desk.triangle, desk.slope)
    for f in range(FEATURES):
        move(blend, f, weight * desk.slope[f])


@inner
def due(state: State, rates: Rates, key: int, item: int) -> bool:
    """Whether the blend learns from this event: the item is known, and the event one in so many, more of them by and by."""
    taught = state.whole.taught[0]
    if state.items.events[item] == 0 or taught <= FEWEST:
        return False
    halvings = min(taught // max(rates.blend_young, 1), MOST_HALVINGS)
    return unit(draw(key, DRAWS)) * min(1 << halvings, rates.blend_every) < 1.0


@inner
def learn_blend(
    state: State, rates: Rates, room: Room, desk: Desk, user: int, item: int, held: int, weight: Real, key: int
) -> None:
    """Learn from a user's choice of an item that is known and not among desk.past[:held]."""
    now = state.whole.clock[0]
    spoken = weigh_history(state.users, rates, user, now, -1, room.share) if rates.history > 0 else 0
    gather(state.users, state.implicit.factor, user, room.share, spoken, room.z)  # p_u stands at the event's time already
    lay_out(state, rates, room, desk, user, held)
    total: Real = 0.0
    for number in range(desk.used[0]):
        total += hardness(desk, number)
    desk.drawn[0] = item
    drawn = 1
    if total > 0:
        drawn = draw_hard(desk, total, unit(draw(key, DRAWS + 1)), drawn)
    drawn = draw_others(state, desk, key, drawn)
    fetch_drawn(state, desk, drawn)
    kept = score_drawn(state, rates, desk, held, drawn, total)
    choices = state.users.taught[user]
    gap = gap_of(choices, now - state.users.last_time[user])
    write_slope(rates.features, kept, desk)
    step_weights(state.blend, activity_of(choices), gap, weight, desk)
    state.blend.trained[0] += 1
    clear(desk)
