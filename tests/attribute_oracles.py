"""Attributes as a textbook would write them down: what tests/oracles.py is to the kernels of learning."""

from typing import Any

from streammf.learning.tables import State

#: Events after which a mean forgets, and at which it counts half.
WINDOW, FEW = 1000, 10.0
#: Ratings that a level begins with, of an item and of a user.
PRIORS = {"item": 10.0, "user": 5.0}


def sides(state: State, kind: str) -> tuple[Any, Any, Any, Any, Any]:
    """(rows, vectors by least squares, damped means, values by row, means by value) of items or users."""
    if kind == "item":
        return state.items, state.solved_items, state.rated_items, state.described_items.attribute, state.item_values
    return state.users, state.solved_users, state.rated_users, state.described_users.attribute, state.user_values


def values_of(state: State, kind: str, row: int) -> list[int]:
    """What is said of a row."""
    return [value for value in sides(state, kind)[3][row].tolist() if value >= 0]


def inherit(state: State, kind: str, row: int) -> None:
    """Stand at the mean over the means of the row's values that an event was seen of."""
    rows, solved, rated, _, means = sides(state, kind)
    known = [value for value in values_of(state, kind, row) if means.events[value] > 0]
    if not known:
        return
    counts = {value: means.events[value] / (means.events[value] + FEW) for value in known}

    def over(column: Any) -> Any:
        return sum(counts[value] * column[value] for value in known) / len(known)

    rows.factor[row], rows.bias[row], solved.factor[row] = over(means.factor), over(means.bias), over(means.solved)
    rated.sum[row] = PRIORS[kind] * over(means.level)


def note(state: State, kind: str, row: int) -> None:
    """Let the row's values learn what is known of it."""
    rows, solved, rated, _, means = sides(state, kind)
    level = rated.sum[row] / (rated.weight[row] + PRIORS[kind])
    for value in values_of(state, kind, row):
        means.events[value] += 1
        rate = 1.0 / min(means.events[value], WINDOW)
        for mean, now in ((means.factor, rows.factor[row]), (means.solved, solved.factor[row])):
            mean[value] += rate * (now - mean[value])
        means.bias[value] += rate * (rows.bias[row] - means.bias[value])
        means.level[value] += rate * (level - means.level[value])


def describe(state: State, kind: str, row: int, values: list[int], hidden: bool, time: int) -> None:
    """What a control event says."""
    sides(state, kind)[3][row] = (values + [-1] * 8)[:8]
    if kind == "user":
        state.describing.users[0] = max(state.describing.users[0], row + 1)
        if state.users.events[row] == 0:
            inherit(state, kind, row)
        return
    state.describing.hidden[0] += int(hidden) - state.described_items.hidden[row]
    state.described_items.hidden[row] = hidden
    state.describing.catalogue[0] = max(state.describing.catalogue[0], row + 1)
    if values and state.items.events[row] <= 0:
        if state.items.events[row] == 0:
            state.items.events[row], state.items.first_time[row], state.items.last_time[row] = -1, time, time
        inherit(state, kind, row)


def before(state: State, user: int, item: int) -> None:
    """What happens when an event comes, before it is learned from."""
    if state.items.events[item] < 0:
        inherit(state, "item", item)
        state.items.events[item] = 0
    if state.users.events[user] == 0:
        inherit(state, "user", user)


def after(state: State, user: int, item: int, weight: float) -> None:
    """What happens once it was learned from."""
    if weight > 0:
        note(state, "item", item)
        note(state, "user", user)
    if state.describing.catalogue[0] > 0:
        cold = int(state.whole.events[0] % state.describing.catalogue[0])
        if state.items.events[cold] < 0:
            inherit(state, "item", cold)
