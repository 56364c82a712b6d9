"""Asking memory for what the blend reads next, as `ahead` does for the vectors of gradient steps.

An event of the blend reads several hundred rows: lists of neighbours, rings of users, the vectors that least squares adds up.
Which ones is known long before they are read, but for those that stand in other rows: these are asked for first.
"""

from streammf.learning.ahead import fetch, fetch_line
from streammf.learning.compiling import inner
from streammf.learning.desk import LONG, PEER_PAST, Desk
from streammf.learning.draws import below, draw
from streammf.learning.history import before, newest
from streammf.learning.least_squares import DRAWS, item_due
from streammf.learning.neighbours import WINDOW
from streammf.learning.rates import Rates
from streammf.learning.tables import State


@inner
def fetch_rings(state: State, user: int, item: int) -> None:
    """Ask for the rings that name what least squares reads for a user and an item, and for their own vectors."""
    fetch(state.users.history_item, user)
    fetch(state.audience.user, item)
    fetch_line(state.audience.met, item)
    fetch(state.solved_users.factor, user)
    fetch(state.solved_items.factor, item)


@inner
def fetch_rehearsed_rings(state: State, key: int) -> None:
    """The same for the event that least squares will solve for again."""
    ring = min(state.whole.taught[0], len(state.recent.item))
    if ring > 0:
        at = below(draw(key, DRAWS + 1), ring)
        fetch_rings(state, state.recent.user[at], state.recent.item[at])


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
def fetch_lists(state: State, rates: Rates, user: int, item: int, read: bool) -> None:
    """Ask for the lists that a user's next choice is noted in; read: and for all that the blend reads before it."""
    users, lists = state.users, state.neighbours
    size = users.history_item.shape[1]
    held = min(users.taught[user], rates.history)
    place = newest(users.taught[user], size)
    fetch(lists.item, item)
    for back in range(min(held, LONG if read else WINDOW)):
        row = users.history_item[user, place]
        fetch(lists.item, row)
        if read:
            fetch(lists.near, row)
            fetch(lists.far, row)
            fetch(lists.next, row)
            if back < PEER_PAST:
                fetch(state.audience.user, row)
        place = before(place, size)


@inner
def fetch_drawn(state: State, desk: Desk, drawn: int) -> None:
    """Ask for what the features of those drawn are made of."""
    for n in range(drawn):
        row = desk.drawn[n]
        fetch(state.items.factor, row)
        fetch(state.solved_items.factor, row)
        fetch_line(state.audience.popularity, row)
