"""Stores with something in them, for tests of what is made of them."""

from pathlib import Path

import numpy as np

from streammf.recommender import Recommender
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, meta, model


def some_commits(folder: Path, steps: int = 3) -> Path:
    """A store of random numbers, closed."""
    with Store.open(StoreOptions(path=str(folder))) as store:
        made, last = model(), meta()
        copier = Copier(*made)
        for step in range(1, steps + 1):
            change(made, step)
            last = commit(store, copier, last, step)
    return folder


def learned(folder: Path, events: int = 2000) -> Path:
    """A store that really learned, closed."""
    random = np.random.default_rng(3)
    recommender = Recommender("ranking", factors=4, history=3, recent=50)
    users = [f"user-{n}" for n in random.integers(0, 200, events)]
    recommender.learn(users, [f"item-{n}" for n in random.integers(0, 50, events)])
    recommender.save(folder.with_name(f"{folder.name}.snapshot"))
    snapshots.restore(folder.with_name(f"{folder.name}.snapshot"), folder)
    return folder
