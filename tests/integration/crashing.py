"""A process that tries crashes: `python -m tests.integration.crashing` reads tries from stdin, JSON a line, and says how
each ended.

Each try is a child of its own, forked from here once everything is imported and compiled: a real process, which opens
the store, learns, and is killed, in a fraction of a second instead of a start.
"""

import os
import signal
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from streammf import failpoints
from streammf.events.event import Event
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.state import snapshots
from streammf.state.live import LiveWriter
from streammf.state.options import Limits, StoreOptions
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from tests.trainer.partitioned import PartitionedSource
from tests.trainer.sources import clicks, forgetting

EVENTS = 2_500
#: Of so many that the table of their ids grows, rows and all, while they are learned.
USERS = 2_000
OPTIONS = TrainerOptions(batch=100, idle_seconds=0.01, commit_events=500, commit_seconds=3600)
#: What a child ends with where an error of ours or of Python ended it.
ERROR = 3


class Try(msgspec.Struct, kw_only=True, frozen=True):
    """One process to be."""

    folder: str
    failpoints: str = ""
    partitions: int = 1
    objective: str = "ranking"
    doing: Literal["learn", "snapshot", "remove", "restore"] = "learn"
    events: int = EVENTS
    """The log's length."""
    gated: bool = False
    """With caps and a threshold for new ids, which some events do not pass, and without those who are away for a while."""
    forgetting: bool = False
    """Whether the log asks to forget users and items."""


def log(count: int, *, forgets: bool = False) -> list[Event | bytes]:
    """The first `count` events of what is learned."""
    events = clicks(count, users=USERS)
    return forgetting(events) if forgets else [*events]


def learn(one: Try) -> None:
    """Learn everything that is not learned yet."""
    folder = Path(one.folder)
    learning = msgspec.convert({"objective": one.objective, "factors": 8, "history": 8, "recent": 300}, LearningOptions)
    if one.gated:
        learning = msgspec.structs.replace(
            learning, most_users=15, most_items=25, admit_after=3, forget_users_after_days=0.01, forget_items_after_days=0.03,
            forget_every=60,
        )  # fmt: skip
    source = PartitionedSource(
        log(one.events, forgets=one.forgetting), one.partitions, patience=OPTIONS.commit_events + 2 * OPTIONS.batch
    )
    with (
        closing(Store.open(StoreOptions(path=str(folder / "store")))) as store,
        closing(LiveWriter(folder / "live", learning, Limits(10_000, 10_000))) as live,
    ):
        Trainer(source, store, live, learning, OPTIONS).run(threading.Event())


def keep(one: Try) -> None:
    """Make, remove or restore the snapshot beside the store, unless that is done already."""
    store, snapshot = Path(one.folder) / "store", Path(one.folder) / "snapshot"
    if one.doing == "snapshot" and not snapshot.exists():
        with closing(Store.open_readonly(store)) as opened:
            snapshots.create(opened, snapshot)
    elif one.doing == "remove" and snapshot.exists():
        snapshots.remove(snapshot)
    elif one.doing == "restore":
        snapshots.restore(snapshot, store, overwrite=True)


def child(one: Try) -> int:
    """The exit code of one try, in a process that is its own."""
    try:
        failpoints.arm(one.failpoints)
        learn(one) if one.doing == "learn" else keep(one)
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends with it
        traceback.print_exc()
        return ERROR
    return 0


def ended(pid: int) -> int:
    """How a child ended: its exit code, or minus the signal. One that stands still is killed: nobody wakes it."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Try whatever stdin says."""
    ready("blend", "stack")
    for line in sys.stdin:
        one = msgspec.json.decode(line, type=Try)
        pid = os.fork()
        if pid == 0:
            os._exit(child(one))
        print(ended(pid), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
