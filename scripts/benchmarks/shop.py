"""A live model of a shop of a given size, learned from made-up clicks: what queries are asked of."""

from pathlib import Path
from typing import Final

import numpy as np

from scripts.benchmarks.data import ITEM_SKEW, START, STEP, USER_SKEW, drawn
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.header import Header
from streammf.state.live import LiveWriter
from streammf.state.model import Model
from streammf.state.options import Limits

BATCH: Final = 4096
#: Partitions whose positions every answer names.
PARTITIONS: Final = 4


def open_shop(folder: Path, users: int, items: int, clicks: int, options: LearningOptions) -> LiveWriter:
    """A published live model in which every item was clicked on, and `clicks` more as a shop's are spread."""
    ready()
    writer = LiveWriter(folder, options, Limits(users, items))
    model = Model(options, writer.memory, writer.users, writer.items)
    writer.memory.add_rows(Axis.PARTITION, np.zeros(PARTITIONS, np.uint64))
    chance = np.random.default_rng(1)
    user = np.concatenate([chance.integers(0, users, items), drawn(chance, users, USER_SKEW, clicks)])
    item = np.concatenate([chance.permutation(items), drawn(chance, items, ITEM_SKEW, clicks)])
    for first in range(0, len(user), BATCH):
        part = slice(first, first + BATCH)
        n = len(user[part])
        offsets = np.arange(first, first + n, dtype=np.int64)
        model.learn(
            [name_of_user(u) for u in user[part].tolist()],
            [f"item-{i:07d}" for i in item[part].tolist()],
            ["click"] * n,
            np.ones(n, np.float32),
            START + STEP * offsets,
            (offsets % PARTITIONS).astype(np.int32),
            offsets // PARTITIONS,
        )
    positions = [("events", p, model.events // PARTITIONS) for p in range(PARTITIONS)]
    writer.publish(Header(status="learning", events=model.events, clock=model.clock, positions=positions))
    return writer


def name_of_user(number: int) -> str:
    """The id of a user."""
    return f"user-{number:07d}"
