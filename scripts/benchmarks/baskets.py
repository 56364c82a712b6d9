"""A seeded log of shopping baskets, no real person's: each of one person at one moment, of things bought again and again.

Everything follows from the seed and the numbers. A basket is of different items; some are among what its owner always buys, the
others are what everybody buys (Zipf). The order within a basket says nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import ITEM_SKEW, START, Events, drawn

BASKET: Final = 25
#: Items of a basket that its owner often buys, and how many such items a person has.
USUAL: Final = 12
HABITS: Final = 40
USERS: Final = 600
ITEMS: Final = 5_000
#: ms from one basket to the next.
STEP: Final = 300_000


def basket_events(count: int, seed: int = 1) -> Events:
    """`count` baskets, BASKET events each."""
    chance = np.random.default_rng(seed)
    habits = [distinct(chance, HABITS, np.empty(0, np.int64)) for _ in range(USERS)]
    owners = chance.integers(0, USERS, count)
    baskets = []
    for owner in owners.tolist():
        usual = chance.choice(habits[owner], USUAL, replace=False)
        baskets.append(chance.permutation(distinct(chance, BASKET, usual)))
    items = np.concatenate(baskets)
    return Events(
        users=[f"user-{n:04d}" for n in np.repeat(owners, BASKET).tolist()],
        items=[f"item-{n:04d}" for n in items.tolist()],
        values=np.ones(len(items), np.float32),
        times=np.repeat(START + STEP * np.arange(count, dtype=np.int64), BASKET),
    )


def distinct(chance: np.random.Generator, many: int, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """`items` and, drawn as popular ones are, others than these: `many` together, each once."""
    found = dict.fromkeys(items.tolist())
    while len(found) < many:
        found.update(dict.fromkeys(drawn(chance, ITEMS, ITEM_SKEW, many - len(found)).tolist()))
    return np.array(list(found), np.int64)
