"""Asking memory for what the blend reads next, as `ahead` does for the vectors of gradient steps.

An event of the blend reads several hundred rows: lists of neighbours, rings of users, the vectors that least squares adds up.
Which ones is known long before they are read, but for those that stand in other rows: these are asked for first.
"""

from streammf.learning.ahead import fetch, fetch_line
from streammf.learning.arguments import Marks
from streammf.learning.audience import latest_of
from streammf.learning.compiling import inner
from streammf.learning.desk import LONG, PEER_PAST, Desk
from streammf.learning.draws import below, draw
from streammf.learning.history import before, newest
from streammf.learning.least_squares import DRAWS, item_due
from streammf.learning.neighbours import WINDOW
from streammf.learning.rates import Rates
from streammf.learning.tables import State


@inner
def fetch_rings(state: State, marks: Marks, user: int, item: int) -> None:
    """Ask for the rings that name what least squares reads for a user and an item, and for their own vectors."""
    fetch(state.users.history_item, user)
    fetch(state.audience.user, item)
    fetch_line(state.audience.met, item)
    fetch(state.solved_users.factor, user)
    fetch_line(state.solved_users.time, user)
    fetch_line(marks.solved_users.moved, user)
    fetch(state.solved_items.factor, item)
    fetch_line(state.solved_items.time, item)
    fetch_line(marks.solved_items.moved, item)


@inner
def fetch_rehearsed_rings(state: State, marks: Marks, key: int) -> None:
    """The same for the event that least squares will solve for again."""
    ring = min(state.whole.taught[0], len(state.recent.item))
    if ring > 0:
        at = below(draw(key, DRAWS + 1), ring)
        fetch_rings(state, marks, state.recent.user[at], state.recent.item[at])


@inner
def fetch_solved(state: State, rates: Rates, user: int, item: int, key: int, n: int) -> None:
    """Ask for the vectors that least squares reads for a user and an item whose rings were asked for; n: as in `item_due`."""
    users, audience = state.users, state.audience
    for place in range(min(users.taught[user], rates.history)):
        fetch(state.solved_items.factor, users.history_item[user, place])
    if item_due(state, item, key, n):
        for place in range(min(audience.met[item], audience.user.shape[1])):
            fetch(state.solved_users.factor, audience.user[item, place])


@inner
def fetch_rehearsed(state: State, rates: Rates, key: int) -> None:
    """The same for the event that least squares will solve for again."""
    ring = min(state.whole.taught[0], len(state.recent.item))
    if ring > 0:
        at = below(draw(key, DRAWS + 1), ring)
        fetch_solved(state, rates, state.recent.user[at], state.recent.item[at], key, 1)


@inner
def fetch_noted(state: State, marks: Marks, row: int) -> None:
    """Ask for all of an item's list, and for what is written when a choice is noted in it."""
    lists = state.neighbours
    fetch(lists.item, row)
    fetch(lists.near, row)
    fetch(lists.far, row)
    fetch(lists.next, row)
    fetch_line(lists.near_sum, row)
    fetch_line(lists.far_sum, row)
    fetch_line(lists.next_sum, row)
    fetch_line(lists.base, row)
    fetch_line(marks.neighbours.moved, row)


@inner
def fetch_lists(state: State, marks: Marks, rates: Rates, user: int, item: int, read: bool) -> None:
    """Ask for the lists that a user's next choice is noted in; read: and for all that the blend reads before it."""
    users = state.users
    size = users.history_item.shape[1]
    held = min(users.taught[user], rates.history)
    place = newest(users.taught[user], size)
    fetch_noted(state, marks, item)
    for back in range(min(held, LONG if read else WINDOW)):
        row = users.history_item[user, place]
        fetch_noted(state, marks, row)
        if read and back < PEER_PAST:
            fetch(state.audience.user, row)
        place = before(place, size)


@inner
def fetch_counts(state: State, marks: Marks, user: int, item: int) -> None:
    """Ask for what every event counts: for its user, its item, and the items that leave the ring of recent ones."""
    items, audience, recent = state.items, state.audience, state.recent
    taught = state.whole.taught[0]
    fetch_line(items.events, item)
    fetch_line(items.taught, item)
    fetch_line(items.first_time, item)
    fetch_line(items.last_time, item)
    fetch_line(items.log_popularity, item)
    fetch_line(audience.popularity, item)
    fetch_counted(state, marks, item)
    if taught >= len(recent.item):
        fetch_counted(state, marks, recent.item[taught % len(recent.item)])
    if taught >= latest_of(recent):
        fetch_counted(state, marks, recent.item[(taught - latest_of(recent)) % len(recent.item)])
    fetch_line(marks.users.moved, user)
    block = state.users.seen_block[user]
    if block >= 0:
        fetch(state.seen.items, block)
        fetch_line(marks.seen.moved, block)


@inner
def fetch_counted(state: State, marks: Marks, item: int) -> None:
    """Ask for an item's events in the ring of recent ones."""
    fetch_line(state.audience.in_recent, item)
    fetch_line(state.audience.in_latest, item)
    fetch_line(marks.audience.moved, item)


@inner
def fetch_drawn(state: State, desk: Desk, drawn: int) -> None:
    """Ask for what the features of those drawn are made of."""
    for n in range(drawn):
        row = desk.drawn[n]
        fetch(state.items.factor, row)
        fetch(state.solved_items.factor, row)
        fetch_line(state.audience.popularity, row)
