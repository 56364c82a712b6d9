"""A slow, obvious plain-Python version of what the stack learns, in double precision: what its kernels must agree with."""

import math
from typing import Any

import numpy as np

from streammf.learning.arguments import Batch
from streammf.learning.options import LearningOptions
from streammf.learning.tables import State
from tests import oracles

#: The features, in their order.
FEATURES = (
    "all", "factored", "alike", "alike_wide", "lately", "longer", "biased", "taste", "taste_new", "item_new", "biased_new",
    "level", "curve", "trend",
)  # fmt: skip


def damped(table: Any, row: int, prior: float) -> float:
    """A damped mean."""
    return float(table.sum[row] / (table.weight[row] + prior)) if row >= 0 else 0.0


def past(state: State, options: LearningOptions, user: int) -> list[tuple[int, float]]:
    """(item, residual) of the user's last ratings, the newest first."""
    size = state.users.history_item.shape[1]
    taught = int(state.users.taught[user]) if user >= 0 else 0
    places = [(taught - 1 - back) % size for back in range(min(taught, options.history))]
    return [(int(state.users.history_item[user, at]), float(state.users.history_value[user, at]) - 1.0) for at in places]


def lately(residuals: list[float], most: int, decay: float, prior: float) -> float:
    """A decaying mean of the last residuals and `prior` more that are 0."""
    weights = [decay**back for back in range(min(len(residuals), most))]
    return sum(w * r for w, r in zip(weights, residuals, strict=False)) / (sum(weights) + prior)


def ways(state: State, other: int) -> list[int]:
    """The places of a list that `other` may stand at."""
    sets = state.rated_items.other.shape[1] // 8
    first = 8 * (((other * 2654435761) % 2**32) * sets // 2**32)
    return list(range(first, first + 8))


def alike(state: State, options: LearningOptions, user: int, item: int) -> tuple[float, float]:
    """What the user's last residuals let expect, weighed by likeness squared, and by likeness."""
    near, wide, rated = [(0.0, 0.05)], [(0.0, 0.5)], state.rated_items
    for other, residual in past(state, options, user):
        for place in ways(state, other):
            if other != item and rated.other[item, place] == other and rated.support[item, place] >= 2:
                count = float(rated.support[item, place])
                like = float(rated.product[item, place]) / (float(rated.energy[item, place]) + 1e-6) * count / (count + 100)
                if like > 0:
                    near.append((residual, like**2))
                    wide.append((residual, like))
    return sum(r * w for r, w in near) / sum(w for _, w in near), sum(r * w for r, w in wide) / sum(w for _, w in wide)


def features(state: State, options: LearningOptions, user: int, item: int, vector: Any = None) -> dict[str, float]:
    """What is known of a rating that is still to come; vector: z_u, where it is not that of now. Rows may be -1."""
    if vector is None:
        vector = oracles.taste(state, options, user) if user >= 0 else np.zeros(options.factors)
    score = float(vector @ state.items.factor[item]) if item >= 0 else 0.0
    of_user = float(state.users.bias[user]) if user >= 0 else 0.0
    of_item = float(state.items.bias[item]) if item >= 0 else 0.0
    known = int(state.users.taught[user]) if user >= 0 else 0
    rated = int(state.items.taught[item]) if item >= 0 else 0
    level = damped(state.rated_items, item, 10.0)
    biased = damped(state.rated_users, user, 5.0) + level
    factored = of_user + of_item + score
    near, wide = alike(state, options, user, item) if min(user, item) >= 0 else (0.0, 0.0)
    residuals = [residual for _, residual in past(state, options, user)]
    return {
        "all": 1.0,
        "factored": factored,
        "alike": near,
        "alike_wide": wide,
        "lately": lately(residuals, 8, 0.8, 1.0),
        "longer": lately(residuals, 32, 0.95, 2.0),
        "biased": biased,
        "taste": score,
        "taste_new": score / math.sqrt(1 + rated),
        "item_new": of_item / math.sqrt(1 + known),
        "biased_new": biased / math.sqrt(1 + known),
        "level": level - of_item,
        "curve": factored**2,
        "trend": float(state.rated_items.trend[item]) if item >= 0 else 0.0,
    }


def foretold(state: State, options: LearningOptions, user: int, item: int, vector: Any = None) -> tuple[list[float], Any]:
    """What biases, factors and the stack expect, in quarters of the scale; and the features."""
    found = features(state, options, user, item, vector)
    x = np.clip([found[name] for name in FEATURES], -8, 8)
    mean = oracles.mean(state)
    return [mean + found["biased"], mean + found["factored"], mean + float(state.stack.weight[0] @ x)], x


def judge(state: State, expected: list[float], value: float, weight: float) -> None:
    """Note the errors; who serves gives way to what is 1 % better in squares and not worse in absolutes."""
    stack = state.stack
    errors = [value - float(np.clip(e, -2, 2)) for e in expected]
    stack.squared[0] = 0.999 * stack.squared[0] + [weight * e**2 for e in errors]
    stack.absolute[0] = 0.999 * stack.absolute[0] + [weight * abs(e) for e in errors]
    stack.judged[0] += 1
    if stack.judged[0] > 200:
        serving = int(stack.serving[0])
        better = [
            (float(stack.squared[0, part]), part)
            for part in range(3)
            if stack.squared[0, part] < 0.99 * stack.squared[0, serving]
            and stack.absolute[0, part] <= stack.absolute[0, serving]
        ]
        stack.serving[0] = min(better)[1] if better else serving


def step_stack(stack: Any, x: Any, error: float, weight: float) -> None:
    """One step of weighted recursive least squares with forgetting."""
    inverse = stack.inverse[0].reshape(len(x), len(x))
    error = float(np.clip(error, -4, 4))
    gain = inverse @ x
    scale = 0.9999 / (weight * (1 + 0.2 / max(abs(error), 0.25))) + float(x @ gain)
    stack.weight[0] = np.clip(stack.weight[0] + gain / scale * error, -16, 16)
    inverse[:] = (inverse - np.outer(gain, gain) / scale) / 0.9999
    shrink = np.sqrt(np.minimum(1.0, 0.1 / np.diag(inverse)))
    inverse *= np.outer(shrink, shrink)


def take_place(rated: Any, state: State, row: int, other: int) -> int:
    """Where `other` stands in a list, which it enters if it must."""
    places = ways(state, other)
    held = [place for place in places if rated.other[row, place] == other]
    if held:
        return held[0]
    place = min(places, key=lambda at: (float(rated.support[row, at]), at))
    rated.other[row, place] = other
    rated.support[row, place] /= 2
    rated.product[row, place] = rated.energy[row, place] = 0.0
    return place


def note_pairs(state: State, options: LearningOptions, user: int, item: int, residual: float, weight: float) -> None:
    """Note a rating with the 16 before it, and these 8 newest with it."""
    rated = state.rated_items
    for back, (other, before) in enumerate(past(state, options, user)[:16]):
        for row, entry in ((item, other), (other, item)) if back < 8 else ((item, other),):
            if other != item:
                place = take_place(rated, state, row, entry)
                rated.product[row, place] += weight * residual * before
                rated.energy[row, place] += weight * (residual**2 + before**2) / 2
                rated.support[row, place] += weight


def note_levels(state: State, user: int, item: int, value: float, weight: float, residual: float) -> None:
    """Count a rating for the damped means and the trend."""
    left = value - oracles.mean(state)
    of_user, of_item = damped(state.rated_users, user, 5.0), damped(state.rated_items, item, 10.0)
    for table, row, rest in ((state.rated_users, user, left - of_item), (state.rated_items, item, left - of_user)):
        table.sum[row] += weight * rest
        table.weight[row] += weight
    state.rated_items.trend[item] += 0.1 * min(weight, 1.0) * (residual - state.rated_items.trend[item])


def learn_event(state: State, batch: Batch, options: LearningOptions, n: int, value: float, weight: float) -> None:
    """Let every part learn from a rating."""
    user, item, stack = int(batch.user[n]), int(batch.item[n]), state.stack
    if stack.judged[0] == 0:
        stack.inverse[0] = 0.1 * np.eye(len(FEATURES)).ravel()
        stack.weight[0, [FEATURES.index("factored"), FEATURES.index("biased")]] = 0.5
    expected, x = foretold(state, options, user, item)
    state.whole.value_sum[0] += weight * value
    state.whole.value_count[0] += weight
    oracles.rating_step(state, options, user, item, value, weight, again=False)
    judge(state, expected, value, weight)
    step_stack(stack, x, value - expected[2], weight)
    left = value - oracles.mean(state) - float(state.users.bias[user]) - float(state.items.bias[item])
    left = float(np.clip(left, -4, 4))
    note_pairs(state, options, user, item, left, weight)
    note_levels(state, user, item, value, weight, left)
    oracles.push(state, options, batch, n, 1.0 + left, value, weight)


def learn_ratings(state: State, counts: Any, batch: Batch, options: LearningOptions) -> None:
    """Learn from every event, in order."""
    low, high = options.scale
    for n in range(len(batch.user)):
        weight = oracles.meet(state, options, batch, n)
        if weight > 0:
            value = float(np.clip((float(batch.value[n]) - (low + high) / 2) / ((high - low) / 4), -2, 2))
            learn_event(state, batch, options, n, value, weight)
        oracles.count(state, counts, options, batch, n)
        for r in range(options.rehearsals if weight > 0 else 0):
            held = min(int(state.whole.taught[0]), options.recent)
            recent, at = state.recent, oracles.draw(options.seed, int(batch.partition[n]), int(batch.offset[n]), r, held)
            user, item = int(recent.user[at]), int(recent.item[at])
            oracles.rating_step(state, options, user, item, float(recent.value[at]), float(recent.weight[at]), again=True)
