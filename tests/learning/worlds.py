"""Logs to measure quality on: real ones where STREAMMF_TEST_DATA names a folder that holds them, and a made-up one."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np

from streammf.learning.arguments import Batch
from tests.learning.arrays import batch

MOVIELENS = "ml-100k.csv.gz"


def real(name: str) -> Path | None:
    """Where the real log is, if it is there."""
    folder = os.environ.get("STREAMMF_TEST_DATA")
    path = Path(folder) / name if folder else None
    return path if path and path.is_file() else None


def read(path: Path, at_least: float = -np.inf) -> Batch:
    """A CSV of user, item, value, timestamp (s) as rows in order of appearance; only values that are at least this."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    rows = []
    with gzip.open(path, "rt") as file:
        for line in csv.DictReader(file):
            if float(line["value"]) >= at_least:
                user = users.setdefault(line["user"], len(users))
                item = items.setdefault(line["item"], len(items))
                rows.append((user, item, float(line["value"]), float(line["timestamp"])))
    user_rows, item_rows, values, times = (np.array(column) for column in zip(*rows, strict=True))
    return batch(user_rows, item_rows, value=values, time=times * 1000)


def made_up(seed: int = 0, events: int = 30_000, users: int = 400, items: int = 600, genres: int = 6) -> Batch:
    """People with a taste for genres choose items, some better known than others, and rate them by taste and quality."""
    chance = np.random.default_rng(seed)
    genre = chance.integers(0, genres, items)
    taste = chance.dirichlet(np.full(genres, 0.3), users)
    known = 1 / np.arange(1, items + 1) ** 0.7
    quality = chance.normal(0, 0.5, items)
    who = chance.integers(0, users, events)
    what = np.empty(events, int)
    for person in range(users):
        weight = known * (taste[person, genre] + 0.02)
        own = np.flatnonzero(who == person)
        what[own] = chance.choice(items, len(own), p=weight / weight.sum())
    liked = 2 * (taste[who, genre[what]] - 1 / genres)
    value = np.clip(np.round(3.3 + quality[what] + liked + chance.normal(0, 0.7, events)), 1, 5)
    return batch(who, what, value=value, time=1_600_000_000_000 + np.arange(events) * 60_000)


def turning(
    seed: int, events: int, turns: int, users: int = 2000, shelf: int = 250, genres: int = 5, gap: int = 30_000
) -> Batch:
    """People who choose by taste, again and again, from a shelf; at each of `turns` changes half of the shelf is replaced by
    new items, and half of the people get new tastes. turns = 1: nothing changes. gap: ms between events.
    """
    chance = np.random.default_rng(seed)
    shelves = np.arange(shelf)
    genre = chance.integers(0, genres, shelf + turns * shelf)
    known = 1 / (1 + chance.permutation(len(genre)) % shelf) ** 0.6
    taste = chance.integers(0, genres, users)
    who = chance.integers(0, users, events)
    what = np.empty(events, int)
    length = -(-events // turns)
    for turn in range(turns):
        if turn:
            gone = chance.permutation(shelf)[: shelf // 2]
            shelves[gone] = shelf * turn + np.arange(len(gone))
            moved = chance.permutation(users)[: users // 2]
            taste[moved] = chance.integers(0, genres, len(moved))
        for n in range(turn * length, min((turn + 1) * length, events)):
            liked = known[shelves] * np.where(genre[shelves] == taste[who[n]], 1.0, 0.04)
            what[n] = shelves[np.searchsorted(np.cumsum(liked), chance.random() * liked.sum())]
    rows = {item: row for row, item in enumerate(dict.fromkeys(what.tolist()))}
    return batch(who, [rows[item] for item in what.tolist()], time=1_600_000_000_000 + np.arange(events) * gap)
