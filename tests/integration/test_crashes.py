"""Every failpoint, at several times: whatever dies where, an undisturbed run learns the same, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Literal, TypeVar

import msgspec
import numpy as np
import pytest

from streammf.events.ordered import Ordered
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.state.digest import digest
from streammf.state.live import LiveWriter
from streammf.state.options import Limits, StoreOptions
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from tests.integration.crashing import ERROR, EVENTS, Try, log
from tests.trainer.partitioned import PartitionedSource

pytestmark = pytest.mark.timeout(600)
T = TypeVar("T")

#: What the matrix must cover, at least: a place that vanished would be tried no longer, and nobody would notice.
PLACES = {
    "store.claimed", "generation.begun", "generation.linked", "generation.published", "header.written", "header.published",
    "reader.polled", "reader.decoded", "ids.widened", "ids.users", "ids.items", "reader.prepared",
    "memory.backed", "rows.added", "learner.admitted", "learner.applied",
    "commit.copied", "store.rows", "store.ids", "store.head", "store.committed", "commit.taken_in", "source.advised",
}  # fmt: skip
#: What only a start from a store passes, and what snapshots do.
STARTING = {"start.ids", "start.rows", "start.recovered"}
KEEPING = {
    "snapshot": {"snapshot.begun", "snapshot.copied", "snapshot.synced", "snapshot.renamed"},
    "restore": {"restore.copied", "restore.synced", "restore.renamed"},
    "remove": {"snapshot.dropped"},
}
#: Events that a snapshot is made of.
HALF = 1_300
#: Where what is forgotten is in one home of the model and not in another.
AROUND_FORGETTING = {
    "forget.erased", "forget.ids", "learner.applied", "ids.users", "reader.prepared", "rows.added", "commit.copied",
    "store.rows", "store.ids", "store.head", "store.committed", "header.written",
}  # fmt: skip


class Crashes:
    """The processes that try, one for each core."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.integration.crashing"]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in os.sched_getaffinity(0)
        ]
        self._free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._pool = ThreadPoolExecutor(len(self._processes))

    def __call__(self, one: Try) -> int:
        process = self._free.get()
        assert process.stdin
        assert process.stdout
        process.stdin.write(msgspec.json.encode(one).decode() + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        self._free.put(process)
        return code

    def each(self, attempt: Callable[[T], None], tries: Iterable[T]) -> None:
        """Make every attempt, as many at a time as there are processes; what one of them raises is raised."""
        list(self._pool.map(attempt, tries))

    def close(self) -> None:
        self._pool.shutdown()
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
            process.wait(60)


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    made = Crashes()
    yield made
    made.close()


def stored(folder: Path, events: int = EVENTS) -> str:
    """The digest, once it is known that every event is there."""
    with Store.open_readonly(folder / "store") as store:
        meta = store.meta()
        assert meta is not None
        assert meta.events == events
        return digest(store)


def times(passed: int) -> list[int]:
    """At which of so many times a place is tried: the first, the second, one in the middle, the last."""
    return sorted({1, min(2, passed), (passed + 1) // 2, passed})


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_killed_at_every_place_it_learns_the_same_in_the_end(tmp_path: Path, crashes: Crashes, objective: str) -> None:
    recorded = tmp_path / "places"
    assert crashes(Try(folder=str(tmp_path / "whole"), failpoints=f"record={recorded}", objective=objective)) == 0
    wanted = stored(tmp_path / "whole")
    passed = Counter(recorded.read_text().split())
    assert set(passed) >= PLACES
    tries = [(place, at) for place, count in sorted(passed.items()) for at in times(count)]

    def attempt(one: tuple[str, int]) -> None:
        place, at = one
        folder = tmp_path / f"{place}-{at}"
        code = crashes(Try(folder=str(folder), failpoints=f"{place}=kill@{at}", objective=objective))
        assert code in {-signal.SIGKILL, 0}, one  # 0: threads took turns otherwise, and it came there less often
        assert crashes(Try(folder=str(folder), objective=objective)) == 0, one
        assert stored(folder) == wanted, one

    crashes.each(attempt, tries)
    print(f"{objective}: {len(passed)} places, {len(tries)} kills")  # noqa: T201 - the figure that is asked for


def test_a_successor_killed_at_every_place_learns_the_same_in_the_end(tmp_path: Path, crashes: Crashes) -> None:
    """The trainer that takes over a killed one's store: recovery is killed too, and what comes after it."""
    assert crashes(Try(folder=str(tmp_path / "whole"))) == 0
    wanted = stored(tmp_path / "whole")
    left = tmp_path / "left"
    assert crashes(Try(folder=str(left), failpoints="store.head=kill@3")) == -signal.SIGKILL
    recorded = tmp_path / "places"
    assert crashes(Try(folder=str(copied(left, tmp_path / "record")), failpoints=f"record={recorded}")) == 0
    passed = Counter(recorded.read_text().split())
    assert set(passed) >= STARTING | PLACES - {"ids.widened"}
    tries = [(place, at) for place, count in sorted(passed.items()) for at in sorted({1, count})]

    def attempt(one: tuple[str, int]) -> None:
        place, at = one
        folder = copied(left, tmp_path / f"{place}-{at}")
        assert crashes(Try(folder=str(folder), failpoints=f"{place}=kill@{at}")) in {-signal.SIGKILL, 0}, one
        assert crashes(Try(folder=str(folder))) == 0, one
        assert stored(folder) == wanted, one

    crashes.each(attempt, tries)
    print(f"successor: {len(passed)} places, {len(tries)} kills")  # noqa: T201 - the figure that is asked for


def copied(folder: Path, target: Path) -> Path:
    """Store and snapshot as they were left, for one try. Not the live memory: its files are sparse, and a copy would not be."""
    for name in ("store", "snapshot"):
        if (folder / name).exists():
            shutil.copytree(folder / name, target / name)
    return target


@pytest.mark.parametrize("doing", list(KEEPING))
@pytest.mark.parametrize("action", ["kill", "eio", "exit"])
def test_a_snapshot_or_a_restore_that_ends_at_any_place_costs_no_event_and_can_be_done_again(
    tmp_path: Path, crashes: Crashes, doing: Literal["snapshot", "remove", "restore"], action: str
) -> None:
    """Whatever is left, learning goes on from it to the same bytes, and the snapshot stays the store that it was taken of."""
    assert crashes(Try(folder=str(tmp_path / "whole"))) == 0
    wanted = stored(tmp_path / "whole")
    half = tmp_path / "half"
    assert crashes(Try(folder=str(half), events=HALF)) == 0
    taken = stored(half, HALF)
    if doing != "snapshot":
        assert crashes(Try(folder=str(half), doing="snapshot")) == 0
        assert crashes(Try(folder=str(half))) == 0
    recorded = tmp_path / "places"
    assert crashes(Try(folder=str(copied(half, tmp_path / "record")), doing=doing, failpoints=f"record={recorded}")) == 0
    assert {*recorded.read_text().split()} == KEEPING[doing]

    def attempt(place: str) -> None:
        folder = copied(half, tmp_path / place)
        code = crashes(Try(folder=str(folder), doing=doing, failpoints=f"{place}={action}"))
        assert code == {"kill": -signal.SIGKILL, "eio": ERROR, "exit": 1}[action], place
        assert crashes(Try(folder=str(folder))) == 0, place
        assert stored(folder) == wanted, place
        for again in ("remove", "snapshot", "restore") if doing == "remove" else (doing, "restore"):
            assert crashes(Try(folder=str(folder), doing=again)) == 0, (place, again)
        restored = EVENTS if doing == "remove" or (doing == "snapshot" and place != "snapshot.renamed") else HALF
        assert stored(folder, restored) == (wanted if restored == EVENTS else taken), place
        assert not [path.name for path in folder.iterdir() if path.name.endswith(".new")], place
        assert crashes(Try(folder=str(folder))) == 0, place
        assert stored(folder) == wanted, place

    crashes.each(attempt, KEEPING[doing])


@pytest.mark.parametrize("action", ["raise", "eio", "stop", "exit"])
def test_whatever_fails_at_a_place_is_made_good_by_the_next_start(tmp_path: Path, crashes: Crashes, action: str) -> None:
    assert crashes(Try(folder=str(tmp_path / "whole"))) == 0
    wanted = stored(tmp_path / "whole")

    def attempt(place: str) -> None:
        folder = tmp_path / f"{place}-{action}"
        code = crashes(Try(folder=str(folder), failpoints=f"{place}={action}@2"))
        assert code in {ERROR, 1, -signal.SIGKILL, 0}, place
        assert crashes(Try(folder=str(folder))) == 0, place
        assert stored(folder) == wanted, place

    crashes.each(attempt, PLACES)
    print(f"{action}: {len(PLACES)} places")  # noqa: T201 - the figure that is asked for


def test_killed_again_and_again_it_still_learns_the_same(tmp_path: Path, crashes: Crashes) -> None:
    assert crashes(Try(folder=str(tmp_path / "whole"))) == 0
    again = tmp_path / "again"
    for place in ("store.committed", "start.recovered", "store.head", "learner.applied", "header.written", "commit.copied"):
        assert crashes(Try(folder=str(again), failpoints=f"{place}=kill@1")) == -signal.SIGKILL, place
    assert crashes(Try(folder=str(again))) == 0
    assert stored(again) == stored(tmp_path / "whole")


def test_killed_among_refused_events_and_forgotten_people_it_comes_to_the_same(tmp_path: Path, crashes: Crashes) -> None:
    recorded = tmp_path / "places"
    assert crashes(Try(folder=str(tmp_path / "whole"), gated=True, failpoints=f"record={recorded}")) == 0
    wanted, passed = refused_of(tmp_path / "whole"), Counter(recorded.read_text().split())
    assert passed["forget.erased"] == passed["forget.ids"] > 20
    places = [
        "reader.prepared", "rows.added", "learner.admitted", "learner.applied", "forget.erased", "forget.ids", "commit.copied",
        "store.ids", "store.head", "store.committed",
    ]  # fmt: skip

    def attempt(one: tuple[str, int]) -> None:
        place, at = one
        folder = tmp_path / f"{place}-{at}"
        code = crashes(Try(folder=str(folder), failpoints=f"{place}=kill@{at}", gated=True))
        assert code in {-signal.SIGKILL, 0}, one
        assert crashes(Try(folder=str(folder), gated=True)) == 0, one
        assert refused_of(folder) == wanted, one

    tries = [(name, time) for name in places for time in sorted({1, (passed[name] + 1) // 2})]
    crashes.each(attempt, tries)
    print(f"refused and forgotten: {len(places)} places, {len(tries)} kills")  # noqa: T201 - the figure that is asked for


def refused_of(folder: Path) -> tuple[int, str]:
    """How many events were refused, and the digest, once it is known that no event is missing."""
    with Store.open_readonly(folder / "store") as store:
        meta = store.meta()
        assert meta is not None
        assert meta.events + meta.refused == EVENTS
        assert meta.refused > 100
        return meta.refused, digest(store)


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_killed_around_forgetting_it_has_forgotten_and_learned_the_same_in_the_end(
    tmp_path: Path, crashes: Crashes, objective: str
) -> None:
    recorded, log = tmp_path / "places", Try(folder=str(tmp_path / "whole"), objective=objective, forgetting=True)
    assert crashes(msgspec.structs.replace(log, failpoints=f"record={recorded}")) == 0
    wanted = stored(tmp_path / "whole")
    passed = Counter(recorded.read_text().split())
    assert passed["forget.erased"] == passed["forget.ids"] > 20
    tries = [(place, at) for place in sorted(AROUND_FORGETTING) for at in times(passed[place])]

    def attempt(one: tuple[str, int]) -> None:
        place, at = one
        again = msgspec.structs.replace(log, folder=str(tmp_path / f"{place}-{at}"))
        code = crashes(msgspec.structs.replace(again, failpoints=f"{place}=kill@{at}"))
        assert code in {-signal.SIGKILL, 0}, one
        assert crashes(again) == 0, one
        assert stored(Path(again.folder)) == wanted, one

    crashes.each(attempt, tries)
    print(f"forgetting, {objective}: {len(AROUND_FORGETTING)} places, {len(tries)} kills")  # noqa: T201 - the figure that is asked for


@pytest.mark.parametrize("place", ["", "store.head=kill@2", "store.committed=kill@3", "learner.applied=kill@7"])
def test_several_partitions_learned_in_the_journals_order_give_the_same_bytes(
    tmp_path: Path, crashes: Crashes, place: str
) -> None:
    """Each run meets its own order, so no two have one digest: the store says in which order, and that is repeated."""
    crashes(Try(folder=str(tmp_path), failpoints=place, partitions=3))
    assert crashes(Try(folder=str(tmp_path), partitions=3)) == 0
    assert stored(tmp_path) == relearned(tmp_path)


def relearned(folder: Path) -> str:
    """The digest of a run in this process, in the order that the store of `folder` has noted."""
    with Store.open_readonly(folder / "store") as store, store.read() as reading:
        meta = reading.meta()
        journal = np.frombuffer(reading.order(), np.int64).reshape(-1, 2)
    assert meta is not None
    assert len(journal) > 10
    source = PartitionedSource(log(EVENTS), 3)
    runs = [(source.partitions[row], end) for row, end in journal.tolist()]
    return learned(folder / "reference", Ordered(source, runs, source.ends()))


def learned(folder: Path, source: Ordered) -> str:
    learning = LearningOptions(factors=8, history=8, recent=300)
    ready(learning.part)
    with (
        closing(Store.open(StoreOptions(path=str(folder / "store")))) as store,
        closing(LiveWriter(folder / "live", learning, Limits(10_000, 10_000))) as live,
    ):
        Trainer(source, store, live, learning, TrainerOptions()).run(Event())
    return stored(folder)
