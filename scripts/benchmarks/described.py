"""Logs whose items and users are described: MovieLens with its genres, and a made-up shop to which both keep coming.

Rules of this file:
1. The shop follows from its seed and its numbers; the same arguments give the same log.
2. Items and users are described when they come: items before anybody chose them, users before their first event.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import START, Events, movielens
from streammf.events.event import Attributes, Control

GENRES: Final = "ml-100k.items.txt"
#: Columns of a line of it before the genres.
BEFORE_GENRES: Final = 5
DAY: Final = 86_400_000
#: The shop: categories, of which an item has two; segments of users, each with some categories that it likes.
CATEGORIES: Final = 24
SEGMENTS: Final = 8
LIKED: Final = 4
#: Days of the log, and days after which a new item is half as wanted.
DAYS: Final = 60
ITEM_HALF_LIFE: Final = 10.0


class Described(NamedTuple):
    """A log, and what is said of its items and users."""

    title: str
    events: Events
    controls: list[Control]
    """In order; `before`: how many events stand before each."""


def movielens_genres(folder: Path) -> Described:
    """MovieLens-100K, ratings of 5, every film described before the first event. Nothing is known of its users."""
    whole = movielens(folder)
    kept = np.flatnonzero(whole.values >= 5).tolist()
    events = Events([whole.users[n] for n in kept], [whole.items[n] for n in kept], whole.values[kept], whole.times[kept])
    controls = []
    for line in (folder / GENRES).read_text(encoding="latin-1").splitlines():
        fields = line.split("|")
        genres = tuple(f"genre {n}" for n, has in enumerate(fields[BEFORE_GENRES:]) if has == "1")
        controls.append(Control("item", fields[0], Attributes(genres), 0, 0, -1, 0))
    return Described("MovieLens-100K, rating 5, genres", events, controls)


def shop(count: int, users: int = 3_000, items: int = 2_500, seed: int = 1) -> Described:
    """`count` clicks in a shop: a third of the catalogue and a fifth of the people are there from the beginning."""
    chance = np.random.default_rng(seed)
    born = chance.uniform(-0.5, 1.0, items) * DAYS
    wanted = chance.lognormal(0.0, 1.0, items)
    has = np.argsort(chance.random((items, CATEGORIES)), axis=1)[:, :2]
    likes = np.full((SEGMENTS, CATEGORIES), 0.3)
    for row in likes:
        row[chance.choice(CATEGORIES, LIKED, replace=False)] = 4.0
    came, segment = chance.uniform(-0.25, 1.0, users) * DAYS, chance.integers(0, SEGMENTS, users)
    taste = np.array([chance.dirichlet(likes[of]) for of in segment])
    active = chance.lognormal(0.0, 1.0, users)
    days = np.sort(chance.uniform(0.0, DAYS, count))
    user, item = np.empty(count, np.int64), np.empty(count, np.int64)
    for n, day in enumerate(days.tolist()):
        u = user[n] = _drawn(chance, active * (came <= day))
        fresh = wanted * (born <= day) * 0.5 ** (np.maximum(day - born, 0.0) / ITEM_HALF_LIFE)
        item[n] = _drawn(chance, fresh * taste[u][has].sum(axis=1) ** 2)
    events = Events(
        [f"user-{u}" for u in user.tolist()], [f"item-{i}" for i in item.tolist()], np.ones(count, np.float32),
        START + (days * DAY).astype(np.int64),
    )  # fmt: skip
    told = [
        Control("item", f"item-{i}", Attributes(tuple(f"category {c}" for c in has[i].tolist())), 0, 0, -1, int(place))
        for i, place in enumerate(np.searchsorted(days, born).tolist())
    ]
    firsts = np.unique(user, return_index=True)
    told += [
        Control("user", f"user-{u}", Attributes((f"segment {segment[u]}",)), 0, 0, -1, first)
        for u, first in zip(*(column.tolist() for column in firsts), strict=True)
    ]
    return Described("made-up shop", events, sorted(told, key=lambda one: one.before))


def _drawn(chance: np.random.Generator, weights: NDArray[np.float64]) -> int:
    """A place, in proportion to its weight."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, chance.random() * sums[-1], side="right"))
