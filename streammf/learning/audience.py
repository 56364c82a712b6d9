"""Who chose an item lately, and how many: popularity at several half-lives at once, and rings of users.

Rules of this file:
1. No sweep: a popularity is the log of a sum that only grows, and fades by a subtraction when it is read.
2. `note_audience` runs before the event is put into the ring of recent ones: it takes out of the counts what leaves.
"""

from math import log
from typing import Final

import numpy as np

from streammf.learning.arguments import Mark, Real
from streammf.learning.compiling import inner
from streammf.learning.decay import log_sum
from streammf.learning.marks import mark
from streammf.learning.rates import MS_A_DAY
from streammf.learning.tables import Array, Audience, Recent

#: λ of each horizon, per ms: 15 minutes, 6 hours, 7 days, all time.
FADES: Final = (96 * log(2) / MS_A_DAY, 4 * log(2) / MS_A_DAY, log(2) / MS_A_DAY / 7, 0.0)
#: What an item that nobody chose and a long forgotten one have in common, in events.
LEAST_EVENTS: Final = 0.05
#: The newest events of the ring of recent ones: what is chosen right now.
LATEST: Final = 1000


@inner
def latest_of(recent: Recent) -> int:
    """How many of the ring's events count as the newest."""
    return min(LATEST, len(recent.item))


@inner
def note_popularity(audience: Audience, item: int, weight: Real, time: int) -> None:
    """Count an event of this weight at every half-life."""
    for h in range(len(FADES)):
        grown = np.log(np.float64(weight)) + FADES[h] * time
        audience.popularity[item, h] = log_sum(audience.popularity[item, h], grown)


@inner
def note_user(audience: Audience, item: int, user: int) -> None:
    """Put a user into the item's ring."""
    audience.user[item, audience.met[item] % audience.user.shape[1]] = user
    audience.met[item] += 1


@inner
def note_recent(audience: Audience, marks: Mark, recent: Recent, taught: int, item: int) -> None:
    """Count the item in the ring of recent events, and those out that its event will push out."""
    size = len(recent.item)
    latest = latest_of(recent)
    if taught >= size:
        left = recent.item[taught % size]
        audience.in_recent[left] -= 1
        mark(marks, left, 0.0)
    if taught >= latest:
        left = recent.item[(taught - latest) % size]
        audience.in_latest[left] -= 1
        mark(marks, left, 0.0)
    audience.in_recent[item] += 1
    audience.in_latest[item] += 1


@inner
def note_audience(
    audience: Audience, marks: Mark, recent: Recent, taught: int, user: int, item: int, fresh: bool, weight: Real, time: int
) -> None:
    """Note that a user chose an item; fresh: the user's history does not hold it. taught: events learned from before."""
    note_popularity(audience, item, weight, time)
    if fresh:
        note_user(audience, item, user)
    note_recent(audience, marks, recent, taught, item)
    mark(marks, item, 0.0)


@inner
def popularity_of(audience: Audience, item: int, horizon: int, now: int) -> Real:
    """log(decayed number of events + a little)."""
    return np.log(np.exp(audience.popularity[item, horizon] - FADES[horizon] * now) + LEAST_EVENTS)


@inner
def among_past(past: Array, held: int, item: int) -> bool:
    """Whether the item is one of the past's."""
    found = False
    for back in range(held):
        if past[back] == item:
            found = True
    return found
