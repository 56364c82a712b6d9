"""The events that benchmarks are run on: seeded, of the size of a real shop, no real person's.

Rules of this file:
1. Everything follows from the seed and the numbers; the same arguments give the same bytes.
2. Items are as popular as Zipf says (1 / rank), people as active as 1 / rank^0.6: the busiest of 100,000 has 0.4 % of the
   events, not the 8 % that 1 / rank would give one person.
"""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.events.codec import encode_json
from streammf.events.event import Event

USERS: Final = 100_000
ITEMS: Final = 20_000
ITEM_SKEW: Final = 1.0
USER_SKEW: Final = 0.6
#: ms since the epoch of the first event, and from one event to the next: a million events are a day.
START: Final = 1_704_067_200_000
STEP: Final = 86
MOVIELENS: Final = "ml-100k.csv.gz"


@dataclass(frozen=True)
class Events:
    """Columns of length n."""

    users: list[str]
    items: list[str]
    values: NDArray[np.float32]
    """Ratings, 1 to 5."""
    times: NDArray[np.int64]
    """ms since the epoch."""

    def __len__(self) -> int:
        return len(self.users)

    def values_of_records(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Key, JSON value and timestamp of each, as a producer sends it."""
        for user, item, value, time in zip(self.users, self.items, self.values.tolist(), self.times.tolist(), strict=True):
            yield user.encode(), encode_json(Event(user, item, "rating", value, time)), time


def zipf_events(count: int, seed: int = 1, users: int = USERS, items: int = ITEMS) -> Events:
    """`count` ratings by `users` people of `items` items."""
    chance = np.random.default_rng(seed)
    user = drawn(chance, users, USER_SKEW, count)
    item = drawn(chance, items, ITEM_SKEW, count)
    liked = chance.normal(0.0, 0.4, users)[user] + chance.normal(0.0, 0.5, items)[item]
    values = np.clip(np.rint(3.5 + liked + chance.normal(0.0, 0.9, count)), 1, 5).astype(np.float32)
    return Events(
        users=[f"user-{n:06d}" for n in user.tolist()],
        items=[f"item-{n:05d}" for n in item.tolist()],
        values=values,
        times=START + STEP * np.arange(count, dtype=np.int64),
    )


def drawn(chance: np.random.Generator, of: int, skew: float, count: int) -> NDArray[np.int64]:
    """`count` numbers below `of`, the n-th of which is as likely as 1 / (n + 1)^skew."""
    weights = np.arange(1, of + 1, dtype=np.float64) ** -skew
    sums = np.cumsum(weights)
    drawn: NDArray[np.int64] = np.searchsorted(sums, chance.random(count) * sums[-1], side="right").astype(np.int64)
    return drawn


def movielens(folder: Path) -> Events:
    """MovieLens-100K, in the order of time."""
    with gzip.open(folder / MOVIELENS, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    return Events(
        users=[row["user"] for row in rows],
        items=[row["item"] for row in rows],
        values=np.array([float(row["value"]) for row in rows], np.float32),
        times=np.array([round(1000 * float(row["timestamp"])) for row in rows], np.int64),
    )
