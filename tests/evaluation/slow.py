"""Evaluation the slow way: one event at a time, every score a formula in float64, every figure a loop over dicts and lists."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from streammf.evaluation.triers import empty_memory
from streammf.evaluation.whole_log import WholeLog
from streammf.learning.arguments import Batch
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import TABLES, Axis, State
from streammf.state.memory import Memory
from tests import blend_oracles, oracles

AT_ONCE = 2_000


class Tried(NamedTuple):
    """One event, as each method would have answered just before it."""

    place: int
    scores: list[float]
    """Ranks, or foretold ratings."""


class Slow(NamedTuple):
    """Everything that was found."""

    tried: list[Tried]
    lists: list[tuple[int, list[int]]]
    again: list[tuple[int, float]]


def popularity(logs: Any, item: int, half_life: float, now: int) -> float:
    """log of the decayed number of events, as answers read it."""
    return float(np.float32(max(logs[item] - math.log(2) / (half_life * oracles.DAY) * now, math.log(0.05))))


def plain_scores(state: State, options: LearningOptions, user: int, item: int, z: Any) -> list[float]:
    """served, popularity, factors."""
    popular = popularity(state.items.log_popularity, item, options.popularity_half_life, int(state.whole.clock[0]))
    taste = float(z @ state.items.factor[item])
    return [taste + popular, popular, taste]


def blend_scores(state: State, options: LearningOptions, user: int, item: int, laid: Any) -> list[float]:
    """served, popularity at four half-lives, neighbours, factors with popularity, factors, least squares."""
    readings, scale, weights = laid
    x = blend_oracles.features(state, options, user, item, readings.get(item, np.zeros(5)), scale)
    x = x.astype(np.float32).astype(np.float64)
    return [float(weights @ x), *x[:4].tolist(), x[5] + 1e-4 * x[3], x[4] + x[3], x[4], x[12]]


def laid_out(state: State, options: LearningOptions, user: int) -> Any:
    """What scores of one user need."""
    if not options.blends:
        return oracles.taste(state, options, user)
    past = blend_oracles.past_of(state, options, user)
    return *blend_oracles.readings(state, options, user, past), blend_oracles.weights_of(state, user)


def wide(memory: Memory) -> State:
    """The rows in use, in float64."""
    tables = {table.name: table for table in TABLES}
    cut = [
        type(columns)(*(column[: int(memory.counts[tables[name].axis])] for column in columns))
        for name, columns in zip(State._fields, memory.state, strict=True)
    ]
    return oracles.wide(State._make(cut))


def rankings(memory: Memory, options: LearningOptions, user: int, item: int, had: set[int]) -> tuple[list[float], list[int]]:
    """The rank of an item by every method, and the list of the first."""
    state = wide(memory)
    score_of = blend_scores if options.blends else plain_scores
    laid = laid_out(state, options, user)
    known = np.flatnonzero(state.items.events[: int(memory.counts[Axis.ITEM])]).tolist()
    scores = {row: score_of(state, options, user, row, laid) for row in known if row == item or row not in had}
    own = scores[item]
    ranks = []
    for method in range(len(own)):
        others = [score[method] for row, score in scores.items() if row != item]
        ranks.append(sum(score > own[method] for score in others) + 0.5 * sum(score == own[method] for score in others))
    listed = sorted((row for row in scores if row not in had), key=lambda row: (-scores[row][0], row))
    return ranks, listed[:10]


def one(batch: Batch, first: int, last: int) -> Batch:
    """Events first .. last - 1."""
    return Batch(*(column[first:last] for column in batch))


class Learning:
    """A model that learns event by event."""

    def __init__(self, log: WholeLog, options: LearningOptions) -> None:
        self.memory, self.options = empty_memory(log, options), options
        self._learn = learner(options)

    def learn(self, batch: Batch) -> None:
        """Learn."""
        memory = self.memory
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(batch.user))
        self._learn(memory.state, memory.marks, memory.counts, batch)


def sampled(log: WholeLog, options: LearningOptions, every: int) -> list[int]:
    """Which events are tried."""
    drawn = np.random.default_rng(options.seed).random(len(log))
    return [n for n in range(len(log)) if drawn[n] * every < 1 and log.weights(options)[n] > 0]


def rank_all(log: WholeLog, options: LearningOptions, every: int, split: int | None = None) -> Slow:
    """Try and learn; with `split`, learn up to there, and try from there on."""
    model, whole, sample = Learning(log, options), log.batch(options), set(sampled(log, options, every))
    last = len(log) if split is None else split
    had: dict[int, set[int]] = defaultdict(set)
    known: set[int] = set()
    pairs: set[tuple[int, int]] = set()
    tried, lists, again = [], [], []
    for n in range(len(log)):
        user, item = int(log.user[n]), int(log.item[n])
        is_tried = n in sample and (split is None or (n >= split and (user, item) not in pairs))
        if is_tried and item in known and item not in had[user]:
            ranks, listed = rankings(model.memory, options, user, item, had[user])
            tried.append(Tried(n, ranks))
            lists.append((n, listed))
        if n < last:
            model.learn(one(whole, n, n + 1))
            had[user].add(item)
            known.add(item)
        else:
            pairs.add((user, item))
        if split is None and (n % AT_ONCE == AT_ONCE - 1 or n == len(log) - 1):
            for place in again_of(sample, n - n % AT_ONCE, n, len(log)):
                user, item = int(log.user[place]), int(log.item[place])
                again.append((place, rankings(model.memory, options, user, item, had[user] - {item})[0][0]))
    return Slow(tried, lists, again)


def again_of(sample: set[int], first: int, last: int, events: int) -> list[int]:
    """The events of a batch that are tried once more after it."""
    places = sorted(place for place in sample if first <= place <= last)
    return places[:: max(4, math.ceil(len(places) / (300 // math.ceil(events / AT_ONCE))))]


def rate_all(log: WholeLog, options: LearningOptions) -> Slow:
    """Foretell and learn ratings: served, biases, the item's mean, the mean of all."""
    biases = msgspec.structs.replace(options, factors=1, history=0, rehearsals=0, user_rate=0.0, item_rate=0.0)
    models, whole = [Learning(log, each) for each in (options, biases)], log.batch(options)
    low, high = options.scale
    total, count = (low + high) / 2, 1.0
    of_item: dict[int, list[float]] = defaultdict(list)
    tried, lists, again = [], [], []
    for n in range(len(log)):
        user, item, value = int(log.user[n]), int(log.item[n]), float(log.value[n])
        foretold = [expected(model, user, item) for model in models]
        mean = total / count
        tried.append(Tried(n, [*foretold, (sum(of_item[item]) + 5 * mean) / (len(of_item[item]) + 5), mean]))
        for model in models:
            model.learn(one(whole, n, n + 1))
        total, count = total + value, count + 1
        of_item[item].append(value)
        if n % AT_ONCE == AT_ONCE - 1 or n == len(log) - 1:
            first = n - n % AT_ONCE
            lists += rating_lists(models[0], log, first, n)
            again += [
                (place, expected(models[0], int(log.user[place]), int(log.item[place])))
                for place in again_of(set(range(len(log))), first, n, len(log))
            ]
    return Slow(tried, lists, again)


def expected(model: Learning, user: int, item: int) -> float:
    """What a rating is expected to be."""
    state, options = wide(model.memory), model.options
    low, high = options.scale
    absent = max(int(state.whole.clock[0]) - int(state.users.last_time[user]), 0) if state.users.events[user] else 0
    state.users.factor[user] *= oracles.faded(options.user_half_life, absent)
    score = -oracles.error_of(state, options, user, item, 0.0)
    return float(np.clip((low + high) / 2 + (high - low) / 4 * score, low, high))


def rating_lists(model: Learning, log: WholeLog, first: int, last: int) -> list[tuple[int, list[int]]]:
    """The lists of the last three people of a batch, after it."""
    latest = {int(log.user[n]): n for n in range(first, last + 1)}
    found = []
    for user, place in sorted(latest.items(), key=lambda pair: pair[1])[-3:]:
        had = set(log.item[: last + 1][log.user[: last + 1] == user].tolist())
        view = wide(model.memory)
        z = oracles.taste(view, model.options, user)
        known = [row for row in np.flatnonzero(view.items.events).tolist() if row not in had]
        scores = {row: float(view.items.bias[row] + z @ view.items.factor[row]) for row in known}
        found.append((place, sorted(known, key=lambda row: (-scores[row], row))[:10]))
    return found


def figure(values: Sequence[float], users: Iterable[int], *, root: bool = False) -> tuple[float | None, float | None]:
    """A mean, and its error with people for observations."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    off: dict[int, float] = defaultdict(float)
    for value, user in zip(values, users, strict=True):
        off[user] += value - mean
    value = math.sqrt(mean) if root else mean
    if len(off) < 2:
        return value, None
    error = math.sqrt(math.fsum(part * part for part in off.values()) * len(off) / (len(off) - 1)) / len(values)
    return value, (error / (2 * value) if root else error)


def adds(measure: str, score: float, value: float) -> float:
    """What one event adds to a measure."""
    within: dict[str, Callable[[], float]] = {
        "recall@10": lambda: float(score < 10),
        "ndcg@10": lambda: 1 / math.log2(score + 2) if score < 10 else 0.0,
        "mrr@10": lambda: 1 / (score + 1) if score < 10 else 0.0,
        "rmse": lambda: (score - value) ** 2,
        "mae": lambda: abs(score - value),
    }
    return within[measure]()


def over(log: WholeLog, tried: Sequence[Tried], measure: str, method: int) -> tuple[float | None, float | None]:
    """One measure of one method."""
    values = [adds(measure, each.scores[method], float(log.value[each.place])) for each in tried]
    return figure(values, [int(log.user[each.place]) for each in tried], root=measure == "rmse")


def behind(log: WholeLog, tried: Sequence[Tried], measure: str, method: int) -> tuple[float | None, float | None]:
    """By how much a method is worse than the first."""
    sign = 1 if measure == "rmse" else -1
    values = [
        sign
        * (
            adds(measure, each.scores[method], float(log.value[each.place]))
            - adds(measure, each.scores[0], float(log.value[each.place]))
        )
        for each in tried
    ]
    return figure(values, [int(log.user[each.place]) for each in tried])


def of_lists(log: WholeLog, lists: Sequence[tuple[int, list[int]]]) -> tuple[int, float, float, float]:
    """How many, coverage, long tail, diversity."""
    events = Counter(log.item.tolist())
    order = sorted(range(log.items.count), key=lambda row: (-events[row], row))
    head = set(order[: math.ceil(0.2 * log.items.count)])
    places = [row for _, listed in lists for row in listed]
    differing = [
        1 - len(set(now) & set(before)) / len(now)
        for (at, now), (at_before, before) in zip(lists[1:], lists[:-1], strict=True)
        if log.user[at] != log.user[at_before]
    ]
    tail = sum(row not in head for row in places) / len(places)
    return len(lists), len(set(places)) / log.items.count, tail, sum(differing) / len(differing)


def had_before(rows: Any, place: int) -> int:
    """Events before this one of the same user, or item."""
    return int((rows[:place] == rows[place]).sum())


def counted(log: WholeLog, slow: Slow, holdout: bool = False) -> list[Tried]:
    """Those that count: after the first tenth."""
    return [each for each in slow.tried if holdout or each.place >= int(0.1 * len(log))]
