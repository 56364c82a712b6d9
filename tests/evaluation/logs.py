"""Made-up logs on disk, and read back as evaluation reads them."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from streammf.evaluation.whole_log import WholeLog, open_log, read_whole
from streammf.learning.arguments import Batch
from streammf.learning.options import LearningOptions
from tests.learning.worlds import made_up


def write(path: Path, events: Batch, value: Callable[[float], float] = lambda value: value, kind: str = "") -> Path:
    """A CSV of these rows, the user u of row u and so on."""
    head = "user,item,value,timestamp" + (",type" if kind else "")
    columns = (events.user, events.item, events.value, events.time)
    rows = [
        f"u{user},i{item},{value(stars):g},{time / 1000:.3f}" + (f",{kind}" if kind else "")
        for user, item, stars, time in zip(*(column.tolist() for column in columns), strict=True)
    ]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def clicks(folder: Path, seed: int = 0, events: int = 2_500, users: int = 60, items: int = 90) -> Path:
    """People with tastes choose items; one in twenty events stands later in the log than it happened.

    No time is whole minutes: at gaps of 5 of them the blend changes its weights, and a last bit decides which.
    """
    world, chance = made_up(seed, events, users, items), np.random.default_rng(seed)
    world.time[chance.random(events) < 0.05] -= 40 * 60_000
    world.time[:] += chance.integers(0, 50_000, events)
    return write(folder / "clicks.csv", world, lambda _: 1.0)


def ratings(folder: Path, seed: int = 0, events: int = 2_500, users: int = 60, items: int = 90) -> Path:
    """The same people rate them."""
    return write(folder / "ratings.csv", made_up(seed, events, users, items))


def read(path: Path, options: LearningOptions) -> WholeLog:
    """The whole log."""
    with closing(open_log(path)) as source:
        return read_whole(source, path.name, options)
