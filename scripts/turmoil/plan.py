"""What goes wrong, and when: a function of the seed, and of nothing else.

Rules of this file:
1. Every fault has a chance of its own, so that what one of them draws moves none that follows.
2. Each fault comes once before any comes again.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple


class Planned(NamedTuple):
    """One fault to come."""

    pause: float
    """Seconds of quiet before it."""
    name: str
    chance: Random
    """What it draws its lengths and choices from."""


def plan(seed: int, names: Sequence[str]) -> Iterator[Planned]:
    """Faults without end."""
    chance = Random(seed)
    while True:
        for name in chance.sample(names, len(names)):
            yield Planned(chance.uniform(0.3, 2.0), name, Random(chance.getrandbits(64)))
