"""Slow, obvious plain-Python versions of what the blend learns: beside `oracles`, which has what it shares with the rest.

Here too states are `wide`, and a formula is written down as a textbook would: lists, dicts and numpy's solver.
"""

import math
from typing import Any

import numpy as np

from streammf.learning.arguments import Batch
from streammf.learning.options import LearningOptions
from streammf.learning.tables import FEATURES, State
from tests import oracles

HOURS = (0.25, 6.0, 7 * 24.0, math.inf)
BLEND_DRAWS, SQUARES_DRAWS = 1 << 20, 1 << 21
HARD, POPULAR, NEWEST, UNIFORM, LATEST = 12, 6, 4, 4, 1000


def unit(options: LearningOptions, batch: Batch, n: int, number: int) -> float:
    """Draw `number` of event n, in (0, 1)."""
    key = oracles.mix(oracles.mix(options.seed ^ (int(batch.partition[n]) << 40)) ^ int(batch.offset[n]))
    bits = oracles.mix((key + number * 0xD1342543DE82EF95) & oracles.MASK)
    return ((bits >> 11) + 0.5) / 2**53


def past_of(state: State, options: LearningOptions, user: int) -> list[int]:
    """The items of the history, the newest first."""
    size, taught = state.users.history_item.shape[1], int(state.users.taught[user])
    held = min(taught, options.history)
    return [int(state.users.history_item[user, (taught - 1 - back) % size]) for back in range(held)]


def growth(state: State, options: LearningOptions, row: int) -> float:
    """What 1 that happens now weighs in the lists of an item."""
    age = int(state.whole.clock[0]) - int(state.neighbours.base[row])
    return float(2.0 ** min(age / (options.neighbour_half_life * oracles.DAY), 1000.0))


def note_pair(state: State, options: LearningOptions, row: int, item: int, weights: tuple[float, float, float]) -> None:
    """Add near, far, next to one list; the least entry makes place and leaves half."""
    table = state.neighbours
    now = int(state.whole.clock[0])
    lists, sums = (table.near, table.far, table.next), (table.near_sum, table.far_sum, table.next_sum)
    if math.log(growth(state, options, row)) > 14 and (table.near_sum[row] or table.far_sum[row]):
        left = 1 / growth(state, options, row)
        for column in (*lists, *sums):
            column[row] *= left
        table.base[row] = now
    if not (table.near_sum[row] or table.far_sum[row]):
        table.base[row] = now
    entries = table.item[row].tolist()
    if item in entries:
        place = entries.index(item)
    elif -1 in entries:
        place = entries.index(-1)
    else:
        place = int(np.argmin(table.near[row] + 0.1 * table.far[row]))
        for column in lists:
            column[row, place] *= 0.5
    table.item[row, place] = item
    grown = growth(state, options, row)
    for column, total, weight in zip(lists, sums, weights, strict=True):
        column[row, place] += weight * grown
        total[row] += weight * grown


def tied(state: State, options: LearningOptions, user: int, time: int) -> int:
    """How many of the newest events of the history are of the same second."""
    size, taught = state.users.history_item.shape[1], int(state.users.taught[user])
    times = [int(state.users.history_time[user, (taught - 1 - back) % size]) for back in range(min(taught, options.history))]
    return next((back for back, then in enumerate(times) if then != time // 1000), len(times))


def note_neighbours(state: State, options: LearningOptions, past: list[int], same: int, item: int, weight: float) -> None:
    """Note the event with the choices before it, or (the newest `same`) beside it."""
    for back, other in enumerate(past[:8]):
        if other != item:
            near, following, preceding = weight * 0.8**back, float(back == 0), 0.0
            if back == 0 and same > 0:
                following = preceding = 0.5
            ahead, behind = (0.75, 0.75) if back < same else (1.0, 0.5)
            note_pair(state, options, other, item, (near * ahead, weight, weight * following))
            note_pair(state, options, item, other, (near * behind, weight, weight * preceding))


def note_audience(state: State, options: LearningOptions, batch: Batch, n: int, fresh: bool) -> None:
    """Popularity, ring of users, counts of recent events."""
    audience, item, taught = state.audience, int(batch.item[n]), int(state.whole.taught[0])
    for h, hours in enumerate(HOURS):
        grown = math.log(float(batch.weight[n])) + math.log(2) / (hours * 3_600_000) * oracles.moment(state, batch, n)
        audience.popularity[item, h] = np.logaddexp(audience.popularity[item, h], grown)
    if fresh:
        audience.user[item, int(audience.met[item]) % options.peers] = int(batch.user[n])
        audience.met[item] += 1
    ring, size = state.recent.item, options.recent
    events = [int(ring[number % size]) for number in range(max(0, taught - size), taught)] + [item]
    latest = min(LATEST, size)
    for row in {*events, item}:
        audience.in_recent[row] = events[-size:].count(row)
        audience.in_latest[row] = events[-latest:].count(row)


def readings(state: State, options: LearningOptions, user: int, past: list[int]) -> tuple[dict[int, Any], float]:
    """What neighbours and peers say, item → (near, far, next, cosine, peers) in order of first mention; the peers' scale."""
    table = state.neighbours
    found: dict[int, Any] = {}
    near_all = sum(0.8**back for back in range(min(len(past), 8)))
    far_all = sum(0.95**back for back in range(min(len(past), 16)))
    for back, row in enumerate(past[:16]):
        if table.near_sum[row] <= 1e-20:
            continue
        short = 0.8**back / near_all if back < 8 else 0.0
        for place, item in enumerate(table.item[row].tolist()):
            if item < 0:
                break
            said = found.setdefault(item, np.zeros(5))
            said[0] += short * table.near[row, place] / table.near_sum[row]
            said[1] += 0.95**back / far_all * table.far[row, place] / table.far_sum[row]
            if back == 0 and table.next_sum[row] > 0:
                said[2] += table.next[row, place] / table.next_sum[row]
            said[3] += short * table.near[row, place] / math.sqrt(table.near_sum[row] * growth(state, options, row))
    like: dict[int, float] = {}
    for back, row in enumerate(past[:8]):
        for place in range(min(int(state.audience.met[row]), options.peers)):
            peer = int(state.audience.user[row, place])
            if peer != user:
                like[peer] = like.get(peer, 0.0) + 0.85**back / math.log(int(state.items.taught[row]) + 2)
    total = 0.0
    for peer, likeness in like.items():
        theirs = past_of(state, options, peer)
        many = min(int(state.users.taught[peer]), state.users.history_item.shape[1])
        says = likeness**2 / math.sqrt(many + 2)
        for item in theirs[:16]:
            found.setdefault(item, np.zeros(5))[4] += says
            total += says
    return found, 1 / (total + 1e-9)


def features(state: State, options: LearningOptions, user: int, item: int, said: Any, scale: float) -> Any:
    """All features of an item. said: its readings."""
    now, x = int(state.whole.clock[0]), np.zeros(FEATURES)
    for h, hours in enumerate(HOURS):
        x[h] = math.log(math.exp(state.audience.popularity[item, h] - math.log(2) / (hours * 3_600_000) * now) + 0.05)
    x[4] = oracles.taste(state, options, user) @ state.items.factor[item]
    cosine = said[3] / math.sqrt(state.neighbours.near_sum[item] / growth(state, options, item) + 5)
    for f, share in zip((5, 6, 7, 8), (*said[:3], cosine), strict=True):
        x[f] = math.log(share + 1e-3)
    x[9] = math.log((now - int(state.items.last_time[item])) / 1000 + 60)
    x[10] = math.log((now - int(state.items.first_time[item])) / 1000 + 3600)
    x[11] = math.log(said[4] * scale / math.sqrt(int(state.items.taught[item]) + 5) + 1e-4)
    x[12] = state.solved_users.factor[user] @ state.solved_items.factor[item]
    x[13] = math.log(max(x[12], 0) + 0.02)
    return x


def rows_of(state: State, user: int) -> list[int]:
    """The rows of weights that hold for a user now."""
    choices = int(state.users.taught[user])
    if choices == 0:
        return [0, 1]
    gap = max(int(state.whole.clock[0]) - int(state.users.last_time[user]), 0) / 60_000
    return [0, min(7, 2 + int(math.log2(choices))), 8 + min(7, int(math.log(1 + gap) / math.log(6)))]


def weights_of(state: State, user: int) -> Any:
    """w of a user, now."""
    first = np.array([0.3] * 12 + [1.0] * 2)
    return first + state.blend.weight[0].reshape(-1, FEATURES)[rows_of(state, user)].sum(axis=0)


def hard_ones(hardness: dict[int, float], chance: float) -> list[int]:
    """Systematic sampling in proportion to hardness."""
    step, passed = sum(hardness.values()) / HARD, 0.0
    found: list[int] = []
    for item, value in hardness.items():
        passed += value
        while passed > (chance + len(found)) * step and len(found) < HARD:
            found.append(item)
    return found


def learn_blend(state: State, options: LearningOptions, batch: Batch, n: int, past: list[int]) -> None:
    """One step of the weights."""
    user, item, taught = int(batch.user[n]), int(batch.item[n]), int(state.whole.taught[0])
    event = options.seed, int(batch.partition[n]), int(batch.offset[n])
    found, scale = readings(state, options, user, past)
    hardness = {i: s[0] + s[1] + 0.02 * s[3] + s[4] * scale for i, s in found.items()}
    total, ring = sum(hardness.values()), state.recent.item
    known, latest = min(taught, options.recent), min(taught, LATEST, options.recent)
    drawn = hard_ones(hardness, unit(options, batch, n, BLEND_DRAWS + 1)) if total else []
    for number in range(POPULAR + NEWEST + UNIFORM):
        bound = known if number < POPULAR else latest if number < POPULAR + NEWEST else int(state.blend.catalogue[0])
        at = oracles.draw(*event, BLEND_DRAWS + 2 + number, bound)
        if number < POPULAR:
            at = int(ring[at])
        elif number < POPULAR + NEWEST:
            at = int(ring[(taught - 1 - at) % options.recent])
        drawn.append(at)
    items = [item] + [i for i in drawn if i != item and i not in past and state.items.events[i]]
    x = np.array([features(state, options, user, i, found.get(i, np.zeros(5)), scale) for i in items])
    score = x @ weights_of(state, user)
    for place, i in enumerate(items[1:], 1):
        expected = UNIFORM / int(state.blend.catalogue[0]) + POPULAR * int(state.audience.in_recent[i]) / known
        expected += NEWEST * int(state.audience.in_latest[i]) / latest + HARD * hardness.get(i, 0.0) / (total or 1.0)
        score[place] -= math.log(expected)
    chance = np.exp(score - score.max())
    slope, worth = x[0] - chance @ x / chance.sum(), late(state, options, batch, n)
    weight, square, curvature = (column[0].reshape(-1, FEATURES) for column in state.blend[:3])
    curvature[:] = 0.999 * curvature + worth * np.outer(slope, slope)
    weight[0] = np.clip(weight[0] + worth * np.linalg.solve(curvature + 10 * np.eye(FEATURES), slope), -20, 20)
    for row in rows_of(state, user)[1:]:
        square[row] = 0.999 * square[row] + (worth * slope) ** 2
        weight[row] = np.clip(weight[row] + 0.035 * worth * slope / np.sqrt(square[row] + 10), -20, 20)
    state.blend.trained[0] += 1


def late(state: State, options: LearningOptions, batch: Batch, n: int) -> float:
    """What event n teaches with."""
    age = int(state.whole.clock[0]) - oracles.moment(state, batch, n)
    return float(batch.weight[n]) * oracles.faded(options.late_half_life, age)


def descend(gram: Any, unseen: float, ridge: float, vectors: Any, weights: Any, x: Any) -> Any:
    """Two conjugate-gradient steps."""
    matrix = unseen * gram + (vectors.T * weights) @ vectors + ridge * np.eye(len(x))
    residual = vectors.T @ weights - matrix @ x
    way = residual.copy()
    for _ in range(2):
        if residual @ residual <= 1e-12:
            break
        far = residual @ residual / (way @ matrix @ way)
        x = x + far * way
        rest = residual - far * matrix @ way
        way = rest + rest @ rest / (residual @ residual) * way
        residual = rest
    return np.clip(x, -16, 16)


def exchange(gram: Any, old: Any, left: float, new: Any) -> None:
    """Put a new outer product in for an old, faded one."""
    gram += (np.outer(new, new) - left * np.outer(old, old)).reshape(-1)


def left_of(options: LearningOptions, time: int, now: int) -> float:
    """What is left of a row in the sums."""
    return oracles.faded(options.solved_half_life, now - time) if time >= 0 else 0.0


def solve_user(state: State, options: LearningOptions, user: int) -> None:
    """Steps of one user."""
    grams, users, items = state.grams, state.solved_users, state.solved_items
    now, k = int(state.whole.clock[0]), options.factors
    left = left_of(options, int(users.time[user]), now)
    grams.users[0] += 1 - left
    past = past_of(state, options, user)
    weights, old = 0.95 ** np.arange(len(past)), users.factor[user].copy()
    unseen = 4 * grams.events[0] / max(grams.users[0] * grams.items[0], 1)
    ridge = 0.05 * (weights.sum() + unseen * grams.items[0])
    users.factor[user] = descend(grams.item[0].reshape(k, k), unseen, ridge, items.factor[past], weights, old)
    exchange(grams.user[0], old, left, users.factor[user])
    users.time[user] = now


def solve_item(state: State, options: LearningOptions, item: int) -> None:
    """Steps of one item."""
    grams, users, items = state.grams, state.solved_users, state.solved_items
    now, k = int(state.whole.clock[0]), options.factors
    left = left_of(options, int(items.time[item]), now)
    grams.items[0] += 1 - left
    met, old = int(state.audience.met[item]), items.factor[item].copy()
    speakers, stands_for = state.audience.user[item, : min(met, options.peers)], max(1.0, met / options.peers)
    unseen = 4 * grams.events[0] / max(grams.users[0] * grams.items[0], 1)
    ridge = 0.05 * (met + unseen * grams.users[0])
    weights = np.full(len(speakers), stands_for)
    new = descend(grams.user[0].reshape(k, k), unseen, ridge, users.factor[speakers], weights, old)
    items.factor[item] = old + max(1 / stands_for, 0.1) * (new - old)
    exchange(grams.item[0], old, left, items.factor[item])
    items.time[item] = now


def learn_squares(state: State, options: LearningOptions, batch: Batch, n: int) -> None:
    """Least squares of event n, and of one that is drawn. Sums are brought to now, and afterwards stand at their base again."""
    grams, now = state.grams, int(state.whole.clock[0])
    sums = (grams.user, grams.item, grams.users, grams.items, grams.events)
    left = oracles.faded(options.solved_half_life, now - int(grams.base[0])) if grams.events[0] else 1.0
    for column in sums:
        column[...] = left * column
    if grams.events[0] == 0 or left < np.exp(-14):
        grams.base[0], left = now, 1.0
    grams.events[0] += 1
    event = options.seed, int(batch.partition[n]), int(batch.offset[n])
    at = oracles.draw(*event, SQUARES_DRAWS + 1, min(int(state.whole.taught[0]), options.recent))
    pairs = (int(batch.user[n]), int(batch.item[n])), (int(state.recent.user[at]), int(state.recent.item[at]))
    for number, (user, item) in enumerate(pairs):
        solve_user(state, options, user)
        every = min(8, 1 + int(state.audience.met[item]) // (2 * options.peers))
        if oracles.draw(*event, SQUARES_DRAWS + 2 + number, every) == 0:
            solve_item(state, options, item)
    for column in sums:
        column[...] = column / left


def learn_all(state: State, counts: Any, batch: Batch, options: LearningOptions) -> None:
    """Learn from every event, in order."""
    for n in range(len(batch.user)):
        user, item, taught = int(batch.user[n]), int(batch.item[n]), int(state.whole.taught[0])
        weight = oracles.meet(state, options, batch, n)
        if weight > 0:
            past = past_of(state, options, user)
            every = min(2.0 ** (taught // options.blend_young), options.blend_every)
            due = taught > 100 and unit(options, batch, n, BLEND_DRAWS) * every < 1
            if item not in past and due and state.items.events[item]:
                learn_blend(state, options, batch, n, past)
            oracles.choose(state, options, batch, n, weight)
            note_neighbours(state, options, past, tied(state, options, user, int(batch.time[n])), item, weight)
            note_audience(state, options, batch, n, item not in past)
            oracles.push(state, options, batch, n, 1.0, 1.0, weight)
        oracles.count(state, counts, options, batch, n)
        state.blend.catalogue[0] = max(int(state.blend.catalogue[0]), item + 1)
        if weight > 0:
            oracles.rehearse_choices(state, options, batch, n)
            learn_squares(state, options, batch, n)
