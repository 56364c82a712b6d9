"""Logs of events for whole-process tests: MovieLens where STREAMMF_TEST_DATA has it, else a seeded world of the same kind."""

import csv
import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streammf.operations.world import World

MOVIELENS = "ml-100k.csv.gz"


class Log(NamedTuple):
    """A file of ratings and what is known of it."""

    path: Path
    events: int
    user: str
    """One with many events."""


def rating_log(folder: Path) -> Log:
    """MovieLens-100K, or 20,000 ratings of a made-up world."""
    data = os.environ.get("STREAMMF_TEST_DATA")
    if data and (Path(data) / MOVIELENS).is_file():
        return Log(Path(data) / MOVIELENS, 100_000, "405")
    return made_up_log(folder, 20_000)


def made_up_log(folder: Path, events: int) -> Log:
    """Ratings of a seeded world, as CSV."""
    chance = np.random.default_rng(3)
    world = World(seed=3, people=300)
    path = folder / "ratings.csv.gz"
    counts: dict[str, int] = {}
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user", "item", "value", "timestamp"))
        for click in world.clicks(events):
            writer.writerow((click.user, click.item, int(chance.integers(1, 6)), click.time / 1000))
            counts[click.user] = counts.get(click.user, 0) + 1
    return Log(path, events, max(counts, key=lambda user: counts[user]))
