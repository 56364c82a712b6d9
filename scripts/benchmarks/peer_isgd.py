"""ISGD (Vinagre, Jorge, Gama 2014, fig. 2), a step an event in NumPy, as FluRS does it: what one would write first."""

import time

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import Events
from scripts.benchmarks.settings import FACTORS

#: FluRS's own: learning rate, L2, standard deviation of first values.
RATE, REGULARISATION, FIRST = 0.03, 0.01, 0.1


def learn(events: Events, seed: int = 1) -> float:
    """Learn from all events, which stand ready in memory; seconds."""
    random = np.random.default_rng(seed)
    users: dict[str, NDArray[np.float64]] = {}
    items: dict[str, NDArray[np.float64]] = {}
    began = time.perf_counter()
    for user, item in zip(events.users, events.items, strict=True):
        if user not in users:
            users[user] = random.normal(0.0, FIRST, FACTORS)
        if item not in items:
            items[item] = random.normal(0.0, FIRST, FACTORS)
        p, q = users[user], items[item]
        error = 1.0 - p @ q
        users[user] = p + 2.0 * RATE * (error * q - REGULARISATION * p)
        items[item] = q + 2.0 * RATE * (error * p - REGULARISATION * q)
    return time.perf_counter() - began
