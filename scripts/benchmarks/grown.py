"""A model of a given size, as it is after long use, and what learning, copying, committing and starting cost there.

`python -m scripts.benchmarks.grown '<job as JSON>'` measures in a process of its own.

Rules of this file:
1. Every row stands as after long use: users have a full history and a begun chain of seen items, items were clicked on, the
   ring of recent events is full. It is written there, not learned: ten million users would take hours.
2. Live memory and store are the real ones, files in memory and LMDB on disk, and grow a commit at a time.
3. Events are handed over as rows: what ids cost is measured where they are registered.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import ITEM_SKEW, START, STEP, USER_SKEW, drawn
from scripts.benchmarks.settings import learning
from streammf.events.log import LogSource
from streammf.learning.arguments import Batch, Mark
from streammf.learning.audience import latest_of
from streammf.learning.compiling import ready
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis, State
from streammf.state.changes import Copier
from streammf.state.header import Header
from streammf.state.live import LiveWriter
from streammf.state.memory import Memory
from streammf.state.meta import Meta, Position, first_meta
from streammf.state.model import Model
from streammf.state.options import Limits, StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store
from streammf.trainer.commits import MOST_COPIED

Spread = Literal["zipf", "uniform"]
SPREADS: Final[tuple[Spread, ...]] = ("zipf", "uniform")
#: Events a batch: no fewer than a trainer finds at a time under this load.
BATCH: Final = 512
#: Events between two commits: a second of the load that the bar speaks of.
COMMIT_EVENTS: Final = 20_000
#: Rows made and committed at a time.
STEP_ROWS: Final = 250_000
#: Items in each user's chain of seen ones, of the 15 that a block holds.
SEEN: Final = 8
#: Events by which the rows that one touches are counted.
COUNTED: Final = 50
PAGE: Final = 512
#: Users, and items, that are forgotten.
FORGOTTEN: Final = 5


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured, and where it may be written."""

    part: Literal["grow", "start", "keep"]
    objective: Literal["ranking", "rating"]
    users: int
    items: int
    commits: int
    """Commits, and as many times COMMIT_EVENTS events, of each spread."""
    live: str
    store: str
    log: str = ""
    """The embedded log that a store that is kept learns on from."""


class Load(msgspec.Struct, kw_only=True):
    """What one spread of events cost: a number a commit."""

    event_us: list[float] = []
    """Of the learning thread's processor time."""
    events: list[int] = []
    """Learned before the commit was due."""
    copy_ms: list[float] = []
    commit_s: list[float] = []
    commit_bytes: list[int] = []
    """Of the rows that were copied."""
    touched: float = 0.0
    """Rows that one event changes."""


class Grown(msgspec.Struct, kw_only=True):
    """What was found at one size."""

    loads: dict[str, Load] = {}
    register_us: float = 0.0
    """An id of a user, its row included."""
    forget_ms: dict[str, list[float]] = {}
    """Forgetting one user, or one item, each by itself."""
    live_bytes: dict[str, int] = {}
    """Backed by memory, by file."""
    store_bytes: int = 0
    start_s: float = 0.0
    """From the start of a process until it has learned its first batch."""


def measure(job: Job) -> Grown:
    """Do `job` in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.grown", msgspec.json.encode(job).decode()]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        took = time.perf_counter() - began
        said = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    found = msgspec.json.decode(said or first, type=Grown)
    if job.part == "start":
        found.start_s = took
    return found


def open_model(job: Job) -> tuple[Store, LiveWriter, Meta, LearningOptions]:
    """What a trainer opens."""
    options = learning(job.objective)
    store = Store.open(StoreOptions(path=job.store))
    live = LiveWriter(Path(job.live), options, Limits(job.users, job.items))
    plain = msgspec.to_builtins(options)
    meta = store.meta() or first_meta(options.objective, options.seed, options.dimensions, plain, live.memory.tables)
    return store, live, meta, options


def grow(job: Job) -> Grown:
    """Make the model, then learn, copy and commit."""
    store, live, meta, options = open_model(job)
    found = Grown()
    with closing(store), closing(live):
        copier = Copier(live.memory, live.users, live.items)
        meta, took = make(job, store, live, copier, meta, options)
        found.register_us = 1e6 * took / job.users
        learn = Learning(job, live, options)
        for spread in SPREADS:
            found.loads[spread] = learn.load(spread, store, copier, meta)
        meta = store.meta() or meta
        positions = [Position("events", 0, learn.offset, "bench")]
        store.commit(copier.take(), msgspec.structs.replace(meta, positions=positions, events=learn.offset))
        live.publish(Header(status="learning", events=learn.offset))
        folders = [entry for entry in Path(job.live).iterdir() if entry.is_dir() and not entry.is_symlink()]
        found.live_bytes = {f.name: f.stat().st_blocks * PAGE for folder in folders for f in folder.iterdir()}
        found.forget_ms = {
            axis.name.lower(): forget(live, options, axis, np.random.default_rng(5)) for axis in (Axis.USER, Axis.ITEM)
        }
        found.store_bytes = (Path(job.store) / "data.mdb").stat().st_blocks * PAGE
    return found


def make(job: Job, store: Store, live: LiveWriter, copier: Copier, meta: Meta, options: LearningOptions) -> tuple[Meta, float]:
    """All rows and the ring, committed; what it was committed with, and the seconds that users' ids and rows took."""
    live.memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
    took = 0.0
    chance = np.random.default_rng(5)
    for axis, count in ((Axis.ITEM, job.items), (Axis.USER, job.users)):
        for first in range(0, count, STEP_ROWS):
            took = add_rows(live, axis, first, min(first + STEP_ROWS, count)) + (took if first else 0.0)
            age(live.memory, options, axis, first, chance)
            meta = store.commit(copier.take(), meta)
    fill_ring(live.memory, options, chance)
    return store.commit(copier.take(), meta), took


def keep(job: Job) -> Grown:
    """Make the model, and leave it in the store as one that goes on at the start of the log at `job.log`."""
    store, live, meta, options = open_model(job)
    with closing(store), closing(live), closing(LogSource(Path(job.log))) as log:
        copier = Copier(live.memory, live.users, live.items)
        meta, _ = make(job, store, live, copier, meta, options)
        positions = [Position(*partition, 0, log.topic_ids()[partition.topic]) for partition in log.partitions]
        events = int(live.memory.state.whole.events[0])
        store.commit(copier.take(), msgspec.structs.replace(meta, positions=positions, events=events))
    return Grown(store_bytes=(Path(job.store) / "data.mdb").stat().st_blocks * PAGE)


def add_rows(live: LiveWriter, axis: Axis, first: int, last: int) -> float:
    """Register ids and give them rows; seconds."""
    ids = [f"{axis.name.lower()[0]}{n}" for n in range(first, last)]
    began = time.perf_counter()
    _, keys = (live.users if axis == Axis.USER else live.items).register(ids)
    live.memory.add_rows(axis, keys)
    return time.perf_counter() - began


def forget(live: LiveWriter, options: LearningOptions, axis: Axis, chance: np.random.Generator) -> list[float]:
    """Forget some users or items, one at a time; ms each."""
    model, took = Model(options, live.memory, live.users, live.items), []
    for row in chance.integers(0, int(live.memory.counts[axis]), FORGOTTEN):
        began = time.thread_time()
        model.forget(axis, np.array([row], np.int32))
        took.append(1000 * (time.thread_time() - began))
    return took


def age(memory: Memory, options: LearningOptions, axis: Axis, first: int, chance: np.random.Generator) -> None:
    """Make the rows from `first` on look as after long use. Items come before users."""
    state = memory.state
    last, items = int(memory.counts[axis]), int(memory.counts[Axis.ITEM])
    rows = slice(first, last)
    if axis == Axis.ITEM:
        state.items.events[rows] = state.items.taught[rows] = 100
        state.items.log_popularity[rows] = np.log(100.0)
        state.items.first_time[rows] = state.items.last_time[rows] = START
        if options.blends:
            age_lists(state, rows, last, chance)
        return
    history = state.users.history_item.shape[1]
    state.users.events[rows] = state.users.taught[rows] = history
    state.users.last_time[rows] = START
    state.users.partition[rows] = 0
    state.users.factor[rows] = chance.normal(0, 0.1, (last - first, options.factors))
    state.users.history_item[rows] = chance.integers(0, items, (last - first, history))
    state.users.history_value[rows] = 1.0
    state.users.history_time[rows] = START // 1000
    if options.blends:
        state.solved_users.factor[rows] = chance.normal(0, 0.1, (last - first, options.factors))
        state.solved_users.time[rows] = START
    memory.reserve(Axis.SEEN, last)
    state.users.seen_block[rows] = np.arange(first, last)
    state.users.seen_count[rows] = SEEN
    state.seen.items[rows, :SEEN] = chance.integers(0, items, (last - first, SEEN))
    memory.counts[Axis.SEEN] = last


def age_lists(state: State, rows: slice, items: int, chance: np.random.Generator) -> None:
    """Full lists of neighbours, and of people who are not there yet: they get rows after the items."""
    near = state.neighbours.item[rows]
    near[:] = chance.integers(0, items, near.shape)
    for weight, total in (
        (state.neighbours.near, state.neighbours.near_sum),
        (state.neighbours.far, state.neighbours.far_sum),
        (state.neighbours.next, state.neighbours.next_sum),
    ):
        weight[rows] = 1.0
        total[rows] = near.shape[1]
    state.neighbours.base[rows] = START
    state.audience.met[rows] = state.audience.user.shape[1]
    state.audience.popularity[rows] = np.log(100.0)
    state.solved_items.factor[rows] = chance.normal(0, 0.1, (len(near), state.solved_items.factor.shape[1]))
    state.solved_items.time[rows] = START


def fill_audience(memory: Memory, chance: np.random.Generator) -> None:
    """The people of the lists, what the ring counts, and the sums over all rows."""
    state, counts = memory.state, memory.counts
    users, items = int(counts[Axis.USER]), int(counts[Axis.ITEM])
    audience, recent, grams = state.audience, state.recent, state.grams
    audience.user[:items] = chance.integers(0, users, (items, audience.user.shape[1]))
    audience.in_recent[:items] = np.bincount(recent.item, minlength=items)
    taught = int(state.whole.taught[0])
    newest = recent.item[np.arange(taught - latest_of(recent), taught) % len(recent.item)]
    audience.in_latest[:items] = np.bincount(newest, minlength=items)
    for gram, count, vectors, rows in (
        (grams.user, grams.users, state.solved_users.factor, users),
        (grams.item, grams.items, state.solved_items.factor, items),
    ):
        gram[0] = 0.01 * rows * np.eye(vectors.shape[1]).ravel()  # what normal(0, .1) sums to
        count[0] = rows
    mark_all(memory.marks.audience, items)
    grams.events[0], grams.base[0], state.blend.catalogue[0] = 100 * items, START, items


def fill_ring(memory: Memory, options: LearningOptions, chance: np.random.Generator) -> None:
    """Recent events, as many as the ring holds."""
    state, counts = memory.state, memory.counts
    size = len(state.recent.user)
    state.recent.user[:] = drawn(chance, int(counts[Axis.USER]), USER_SKEW, size)
    state.recent.item[:] = drawn(chance, int(counts[Axis.ITEM]), ITEM_SKEW, size)
    state.recent.value[:] = 0.0 if options.objective == "rating" else 1.0
    state.recent.weight[:] = 1.0
    state.recent.time[:] = START
    state.whole.events[0] = state.whole.taught[0] = size
    state.whole.clock[0] = START
    if options.blends:
        fill_audience(memory, chance)
    mark_all(memory.marks.recent, size)


def mark_all(marks: Mark, rows: int) -> None:
    """What was written past the kernels is not marked: so the table is stored whole."""
    marks.rows[:rows], marks.moved[:rows], marks.used[0] = np.arange(rows), 1.0, rows


class Learning:
    """Learns made-up events of one model, one after another."""

    def __init__(self, job: Job, live: LiveWriter, options: LearningOptions, offset: int = 0) -> None:
        self._job = job
        self._memory = live.memory
        self._learn = learner(options)
        self._chance = np.random.default_rng(6)
        self.offset = offset

    def load(self, spread: Spread, store: Store, copier: Copier, meta: Meta) -> Load:
        """Learn, copy and commit, again and again: the copy with a second thread, as a trainer's."""
        found = Load()
        found.touched = self._touched(spread, store, copier, meta)
        with ThreadPoolExecutor(1) as helper:
            for turn in range(self._job.commits + 1):
                events, seconds = self.until_due(spread, copier, COMMIT_EVENTS)
                began = time.perf_counter()
                changes = copier.take(helper)
                copied = time.perf_counter()
                meta = store.commit(changes, meta)
                committed = time.perf_counter()
                copier.back()
                if turn == 0:  # the ring still held the other spread's events
                    continue
                found.event_us.append(1e6 * seconds / events)
                found.events.append(events)
                found.copy_ms.append(1000 * (copied - began))
                found.commit_s.append(committed - copied)
                found.commit_bytes.append(sum(rows.nbytes for rows in changes.rows))
        return found

    def until_due(self, spread: Spread, copier: Copier, most: int) -> tuple[int, float]:
        """Learn until a commit is due; how many events, and in how many seconds of this thread."""
        memory, events, seconds = self._memory, 0, 0.0
        for batch in self._batches(spread, most):
            memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(batch.user))
            began = time.thread_time()  # not wall clock: what else the machine does is no part of an event
            self._learn(memory.state, memory.marks, memory.counts, batch)
            seconds += time.thread_time() - began
            events += len(batch.user)
            if copier.size() >= MOST_COPIED:
                break
        return events, seconds

    def _touched(self, spread: Spread, store: Store, copier: Copier, meta: Meta) -> float:
        rows = 0
        for batch in self._batches(spread, COUNTED, 1):
            self._memory.reserve(Axis.SEEN, int(self._memory.counts[Axis.SEEN]) + 1)
            self._learn(self._memory.state, self._memory.marks, self._memory.counts, batch)
            rows += sum(int(mark.used[0]) for mark in self._memory.marks)
            store.commit(copier.take(), meta)
        return rows / COUNTED

    def _batches(self, spread: Spread, events: int, at_once: int = BATCH) -> Iterator[Batch]:
        users = self._numbers(self._job.users, spread, USER_SKEW, events)
        items = self._numbers(self._job.items, spread, ITEM_SKEW, events)
        for first in range(0, events, at_once):
            part = slice(first, first + at_once)
            n = len(users[part])
            offsets = np.arange(self.offset, self.offset + n, dtype=np.int64)
            self.offset += n
            value = np.full(n, 4.0, np.float32)
            ones = np.ones(n, np.float32)
            yield Batch(users[part], items[part], value, ones, START + STEP * offsets, np.zeros(n, np.int32), offsets)

    def _numbers(self, of: int, spread: Spread, skew: float, count: int) -> NDArray[np.int32]:
        chosen = drawn(self._chance, of, skew, count) if spread == "zipf" else self._chance.integers(0, of, count)
        # who is active has no place of its own in the order of arrival
        return ((chosen * 2_654_435_761) % of).astype(np.int32)


def start(job: Job) -> Grown:
    """What a trainer does until it learns."""
    store, live, meta, options = open_model(job)
    with closing(store), closing(live):
        recover(store, live.memory, live.users, live.items)
        live.publish(Header(status="learning", events=meta.events))
        learning_on = Learning(job, live, options, meta.events)
        learning_on.until_due("zipf", Copier(live.memory, live.users, live.items, meta.counts), BATCH)
        print(msgspec.json.encode(Grown()).decode(), flush=True)  # noqa: T201 - the parent's clock stops here
    return Grown()


def main() -> None:
    """Do the job that the command line names."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    ready()
    if job.part == "start":
        start(job)
    else:
        found = keep(job) if job.part == "keep" else grow(job)
        print(msgspec.json.encode(found).decode())  # noqa: T201 - the parent reads it
    shutil.rmtree(job.live, ignore_errors=True)


if __name__ == "__main__":
    main()
