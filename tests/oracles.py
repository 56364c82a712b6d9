"""Slow, obvious plain-Python versions of the kernels, in double precision: what the kernels must agree with.

They work on a State whose float columns are float64 (`wide`), and write the formulas down as a textbook would.
"""

import math
from typing import Any

import numpy as np

from streammf.learning.arguments import Batch
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis, State

MASK = 2**64 - 1
DAY = 86_400_000.0


def wide(state: State) -> State:
    """A copy with float64 for float32."""
    tables = [type(t)(*(a.astype("f8") if a.dtype == "f4" else a.copy() for a in t)) for t in state]
    return State._make(tables)


def mix(x: int) -> int:
    """splitmix64's finaliser."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def draw(seed: int, partition: int, offset: int, number: int, bound: int) -> int:
    """Draw `number` of an event, in [0, bound)."""
    key = mix(mix(seed ^ (partition << 40)) ^ offset)
    return ((mix((key + number * 0xD1342543DE82EF95) & MASK) >> 32) * bound) >> 32


def faded(days: float, age: float) -> float:
    """2^(-age / half-life), age in ms; a half-life of 0 is none, a negative age is 0."""
    return 1.0 if days == 0 else 0.5 ** (max(age, 0.0) / (days * DAY))


def history(state: State, options: LearningOptions, user: int, skip: int) -> list[tuple[int, float]]:
    """(item, c_j) of the user's last events, the newest first."""
    users, size = state.users, state.users.history_item.shape[1]
    now, last = int(state.whole.clock[0]), state.users.history_value.shape[1] - 1
    found = []
    for back in range(min(int(users.taught[user]), options.history)):
        place = (int(users.taught[user]) - 1 - back) % size
        item = int(users.history_item[user, place])
        age = now - int(users.history_time[user, place]) * 1000
        weight = options.rank_decay**back * faded(options.history_half_life, age) if item != skip else 0.0
        found.append((item, weight, float(users.history_value[user, min(place, last)])))
    total = sum(weight for _, weight, _ in found)
    return [(item, value * weight / math.sqrt(total)) for item, weight, value in found if weight > 0]


def taste(state: State, options: LearningOptions, user: int, skip: int = -1) -> Any:
    """z_u."""
    spoken = [share * state.implicit.factor[item] for item, share in history(state, options, user, skip)]
    return state.users.factor[user] + sum(spoken, np.zeros(options.factors))


def mean(state: State) -> float:
    """μ."""
    return float(state.whole.value_sum[0] / (state.whole.value_count[0] + 1.0))


def error_of(state: State, options: LearningOptions, user: int, item: int, value: float, skip: int = -1) -> float:
    """value - r̂, in quarters of the scale."""
    score = float(taste(state, options, user, skip) @ state.items.factor[item])
    return value - (mean(state) + float(state.users.bias[user]) + float(state.items.bias[item]) + score)


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + math.exp(-x))


def rating_step(state: State, options: LearningOptions, user: int, item: int, value: float, weight: float, again: bool) -> None:
    """One step on ½ weight error² and the L2 terms."""
    skip = item if again else -1
    shares = history(state, options, user, skip)
    z = taste(state, options, user, skip)
    error = float(np.clip(error_of(state, options, user, item, value, skip), -4.0, 4.0))
    for table, row in ((state.users, user), (state.items, item)):
        rate = options.bias_rate
        if not again:
            rate = max(rate, 1.0 / (int(table.taught[row]) + options.bias_prior))
        table.bias[row] += rate * (weight * error - options.bias_regularisation * table.bias[row])
    p, q, loss = state.users.factor[user].copy(), state.items.factor[item].copy(), options.regularisation
    state.users.factor[user] = p + options.user_rate * (weight * error * q - loss * p)
    state.items.factor[item] = q + options.item_rate * (weight * error * z - loss * q)
    for other, share in shares:
        y = state.implicit.factor[other]
        y += options.history_rate * (weight * error * share * q - loss * y)


def ranking_step(
    state: State, options: LearningOptions, user: int, item: int, weight: float, others: list[int], skip: int
) -> None:
    """One step on weight · log-loss of the item and the drawn others, and the L2 terms."""
    shares = history(state, options, user, skip)
    z = taste(state, options, user, skip)
    pull = np.zeros(options.factors)
    for other, label in [(item, 1.0), *((o, 0.0) for o in others if o != item)]:
        q = state.items.factor[other].copy()
        error = weight * (label - sigmoid(float(q @ z)))
        pull += error * q
        state.items.factor[other] = q + options.item_rate * (error * z - options.regularisation * q)
    p = state.users.factor[user]
    p += options.user_rate * (pull - options.regularisation * p)
    for other, share in shares:
        y = state.implicit.factor[other]
        y += options.history_rate * (share * pull - options.regularisation * y)


def meet(state: State, options: LearningOptions, batch: Batch, n: int) -> float:
    """Move the clocks and p_u to event n; returns what it teaches with."""
    user, time, partition = int(batch.user[n]), int(batch.time[n]), int(batch.partition[n])
    whole = state.whole
    if time <= whole.clock[0] + DAY or whole.events[0] == 0:
        whole.clock[0], whole.ahead[0] = max(int(whole.clock[0]), time), 0
    else:
        whole.ahead_time[0] = min(int(whole.ahead_time[0]), time) if whole.ahead[0] else time
        whole.ahead[0] += 1
        if whole.ahead[0] == 3:
            whole.clock[0], whole.ahead[0] = whole.ahead_time[0], 0
    time = moment(state, batch, n)
    state.partitions.events[partition] += 1
    state.partitions.clock[partition] = max(int(state.partitions.clock[partition]), time)
    if state.users.events[user] == 0:
        state.users.partition[user] = partition
    else:
        state.users.factor[user] *= faded(options.user_half_life, time - int(state.users.last_time[user]))
    return float(batch.weight[n]) * faded(options.late_half_life, int(state.whole.clock[0]) - time)


def moment(state: State, batch: Batch, n: int) -> int:
    """The time that an event counts as, once it was met."""
    return min(int(batch.time[n]), int(state.whole.clock[0]))


def count(state: State, counts: Any, options: LearningOptions, batch: Batch, n: int) -> None:
    """Count event n and note its item as seen."""
    user, item, time = int(batch.user[n]), int(batch.item[n]), moment(state, batch, n)
    if state.items.events[item] == 0:
        state.items.first_time[item] = time
    for table, row in ((state.users, user), (state.items, item)):
        table.events[row] += 1
        table.last_time[row] = max(int(table.last_time[row]), time)
    state.whole.events[0] += 1
    weight = float(batch.weight[n])
    if weight > 0:
        growth = math.log(2) / (options.popularity_half_life * DAY) if options.popularity_half_life else 0.0
        state.items.log_popularity[item] = np.logaddexp(state.items.log_popularity[item], math.log(weight) + growth * time)
    note_seen(state, counts, user, item)


def note_seen(state: State, counts: Any, user: int, item: int) -> None:
    """Add an item to the user's chain, unless its newest block holds it."""
    block = int(state.users.seen_block[user])
    held = [i for i in state.seen.items[block] if i >= 0] if block >= 0 else []
    if item in held:
        return
    if block < 0 or len(held) == state.seen.items.shape[1]:
        state.seen.next[counts[Axis.SEEN]] = block
        state.users.seen_block[user] = block = int(counts[Axis.SEEN])
        counts[Axis.SEEN] += 1
        held = []
    state.seen.items[block, len(held)] = item
    state.users.seen_count[user] += 1


def push(state: State, options: LearningOptions, batch: Batch, n: int, spoken: float, value: float, weight: float) -> None:
    """Put event n into the rings and count it as learned from."""
    user, item = int(batch.user[n]), int(batch.item[n])
    if options.history:
        place = int(state.users.taught[user]) % state.users.history_item.shape[1]
        state.users.history_item[user, place] = item
        state.users.history_value[user, min(place, state.users.history_value.shape[1] - 1)] = spoken
        state.users.history_time[user, place] = moment(state, batch, n) // 1000
    place = int(state.whole.taught[0]) % len(state.recent.item)
    for column, entry in zip(state.recent, (user, item, value, weight, moment(state, batch, n)), strict=True):
        column[place] = entry
    state.users.taught[user] += 1
    state.items.taught[item] += 1
    state.whole.taught[0] += 1


def learn_ratings(state: State, counts: Any, batch: Batch, options: LearningOptions) -> None:
    """Learn from every event, in order."""
    low, high = options.scale
    for n in range(len(batch.user)):
        user, item = int(batch.user[n]), int(batch.item[n])
        weight = meet(state, options, batch, n)
        if weight > 0:
            value = float(np.clip((float(batch.value[n]) - (low + high) / 2) / ((high - low) / 4), -2, 2))
            state.whole.value_sum[0] += weight * value
            state.whole.value_count[0] += weight
            rating_step(state, options, user, item, value, weight, again=False)
            left = value - mean(state) - float(state.users.bias[user]) - float(state.items.bias[item])
            push(state, options, batch, n, 1.0 + left, value, weight)
        count(state, counts, options, batch, n)
        for r in range(options.rehearsals if weight > 0 else 0):
            held = min(int(state.whole.taught[0]), options.recent)
            recent, at = state.recent, draw(options.seed, int(batch.partition[n]), int(batch.offset[n]), r, held)
            user, item = int(recent.user[at]), int(recent.item[at])
            rating_step(state, options, user, item, float(recent.value[at]), float(recent.weight[at]), again=True)


def others(state: State, options: LearningOptions, batch: Batch, n: int, first: int) -> list[int]:
    """The negatives of event n: items of the ring, drawn from draw `first` on."""
    event = (options.seed, int(batch.partition[n]), int(batch.offset[n]))
    held = min(int(state.whole.taught[0]), options.recent)
    places = [draw(*event, first + c, held) for c in range(options.negatives)] if held else []
    return [int(state.recent.item[place]) for place in places]


def choose(state: State, options: LearningOptions, batch: Batch, n: int, weight: float) -> None:
    """The gradient step on event n."""
    negatives = others(state, options, batch, n, 1)
    ranking_step(state, options, int(batch.user[n]), int(batch.item[n]), weight, negatives, skip=-1)


def rehearse_choices(state: State, options: LearningOptions, batch: Batch, n: int) -> None:
    """Gradient steps on recent events."""
    event = (options.seed, int(batch.partition[n]), int(batch.offset[n]))
    for r in range(1, options.rehearsals + 1):
        first = r * (options.negatives + 1)
        at = draw(*event, first, min(int(state.whole.taught[0]), options.recent))
        user, item = int(state.recent.user[at]), int(state.recent.item[at])
        negatives = others(state, options, batch, n, first + 1)
        ranking_step(state, options, user, item, float(state.recent.weight[at]), negatives, skip=item)


def learn_choices(state: State, counts: Any, batch: Batch, options: LearningOptions) -> None:
    """Learn from every event, in order."""
    for n in range(len(batch.user)):
        weight = meet(state, options, batch, n)
        if weight > 0:
            choose(state, options, batch, n, weight)
            push(state, options, batch, n, 1.0, 1.0, weight)
        count(state, counts, options, batch, n)
        if weight > 0:
            rehearse_choices(state, options, batch, n)


def ranked(scores: dict[int, float], k: int) -> list[int]:
    """The k rows with the highest scores, equal ones by row."""
    return sorted(scores, key=lambda row: (-scores[row], row))[:k]
