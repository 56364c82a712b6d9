"""Stores with something in them, for tests of what is made of them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from streammf.recommender import Recommender
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.digest import digest
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, meta, model


def options(path: Path, **others: float) -> StoreOptions:
    return StoreOptions(path=str(path), **others)  # type: ignore[arg-type]


def elsewhere(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: what it dies of does not kill the tests."""
    begin = (
        "import sys\nfrom pathlib import Path\nfrom streammf.state.options import StoreOptions\n"
        "from streammf.state.store import Store\n"
    )
    command = [sys.executable, "-c", begin + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


OPEN = "Store.open(StoreOptions(path=sys.argv[1]))"


#: Reads again and again until it is told that it is enough, or with "hold" one commit for ever.
READING = """
import sys, threading
from pathlib import Path
from streammf.state.store import Store
with Store.open_readonly(Path(sys.argv[1])) as store:
    enough = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), enough.set())).start()
    if "hold" in sys.argv:
        with store.read() as reading:
            print("reading", flush=True)
            enough.wait()
    last = 0
    print("reading", flush=True)
    while not enough.is_set():
        meta = store.meta()
        assert meta and meta.commit >= last
        last = meta.commit
"""
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def put(store: Store, key: bytes, value: bytes) -> None:
    """One transaction that writes one record beside the meta record."""

    def writer(transaction: "lmdb.Transaction[bytes]") -> None:
        transaction.put(key, value, db=store._databases["meta"])

    store.write([writer])


def filled(path: Path, steps: int = 3, most_new: int = 40) -> str:
    """A store with some commits; its digest."""
    with Store.open(options(path)) as store:
        made, last = model(), meta()
        copier = Copier(*made)
        for step in range(1, steps + 1):
            change(made, step, most_new)
            last = commit(store, copier, last, step)
        return digest(store)


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
