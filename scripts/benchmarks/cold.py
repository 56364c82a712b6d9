"""Cold start: recall@10 of the first events of users and of young items, with what is said of them and without.

Counted are events after the first tenth, on an item that is new to the user, foretold by the list that a query would have got
just before: the first 3 events of a user, events of an item that had fewer than 20, and all others, a seeded sample of each.
Who has no attributes is served from popularity until evidence comes; an item without attributes is on no list before its
first event. A change is the figure less that without any attributes on the same events; its error takes one person's events
together. What attributes cost the kernels is the time of the same events with and without them; that needs quiet cores.
"""

import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.described import Described, movielens_genres, shop
from scripts.benchmarks.kernels import BATCH, empty_model, registered
from scripts.benchmarks.paired import mean
from scripts.benchmarks.ranked import NONE, K, part
from scripts.benchmarks.report import Report, say
from streammf.events.event import Control
from streammf.learning import answers
from streammf.learning.arguments import Batch, frozen
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.describing import describe
from streammf.state.model import Model

EVENTS: Final = 60_000
#: Events of a user, and of an item, before which it counts as new.
FEW: Final = 3
YOUNG: Final = 20
#: Events of each group that are foretold.
MOST: Final = 2_000
ROWS: Final = 4096
GROUPS: Final = ("first 3 events of users", "items younger than 20 events", "items without an event", "all others")
#: What is told, by kinds of control events.
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "without attributes": (), "of items": ("item",), "of users": ("user",), "of both": ("item", "user"),
}  # fmt: skip


#: What is timed: rows for attributes, and what is told.
COSTS: Final[tuple[tuple[str, int, tuple[str, ...]], ...]] = (
    ("off", 0, ()), ("on, and none given", ROWS, ()), ("of both", ROWS, ("item", "user")),
)  # fmt: skip


class Told(NamedTuple):
    """A control event and its row."""

    control: Control
    row: int


def groups(log: Described) -> NDArray[np.bool_]:
    """(GROUPS, events) which events each group holds, of those that are counted at all."""
    n = len(log.events)
    of_user, of_item, new = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    users: dict[str, set[str]] = {}
    events: dict[str, int] = {}
    met: dict[str, int] = {}
    for at, (user, item) in enumerate(zip(log.events.users, log.events.items, strict=True)):
        had = users.setdefault(user, set())
        of_user[at], of_item[at], new[at] = met.get(user, 0), events.get(item, 0), item not in had
        had.add(item)
        met[user], events[item] = met.get(user, 0) + 1, events.get(item, 0) + 1
    new[: n // 10] = False
    few, young = of_user < FEW, of_item < YOUNG
    return np.array([few, young, of_item == 0, ~few & ~young]) & new


def sampled(held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """At most MOST of each group."""
    chance = np.random.default_rng(7)
    chosen = np.zeros_like(held)
    for group, places in enumerate(map(np.flatnonzero, held)):
        chosen[group, chance.permutation(places)[:MOST]] = True
    return chosen


def begun(log: Described, options: LearningOptions, kinds: tuple[str, ...]) -> tuple[Model, Batch, list[Told]]:
    """A model that knows all ids and has learned nothing, the events as rows, and what is said."""
    model = empty_model(options)
    batch = registered(model, log.events)
    told = []
    for axis, kind, ids in ((Axis.USER, "user", model.users), (Axis.ITEM, "item", model.items)):
        controls = [one for one in log.controls if one.kind == kind and kind in kinds]
        rows, new = ids.register([one.id for one in controls])
        model.memory.add_rows(axis, new)
        told += [Told(*pair) for pair in zip(controls, rows.tolist(), strict=True)]
    model.memory.reserve(Axis.SEEN, len(log.events))
    return model, batch, sorted(told, key=lambda one: one.control.before)


def foretold(log: Described, kinds: tuple[str, ...], sample: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(events,) 1 where the list held the event's item, of the events of the sample."""
    options = LearningOptions(attributes=ROWS if kinds else 0)
    model, batch, told = begun(log, options, kinds)
    memory, learn, done, said = model.memory, learner(options), 0, 0
    reading = type(memory.state)._make(type(table)(*map(frozen, table)) for table in memory.state)
    hits = np.zeros(len(log.events))
    for n in [*np.flatnonzero(sample).tolist(), len(log.events)]:
        while said < len(told) and told[said].control.before <= n:
            place = told[said].control.before
            learn(memory.state, memory.marks, memory.counts, part(batch, done, place))
            done = place
            describe(memory, options, *told[said])
            said += 1
        learn(memory.state, memory.marks, memory.counts, part(batch, done, n))
        done = n
        if n < len(hits):
            user = int(batch.user[n])
            found = answers.recommend(reading, memory.counts, options, user, NONE, K, answers.seen_items(reading, user))
            hits[n] = batch.item[n] in found.rows
    return hits


def cost(log: Described, attributes: int, kinds: tuple[str, ...]) -> tuple[float, float]:
    """(µs an event of the kernels, µs a control event)."""
    options = LearningOptions(attributes=attributes)
    model, batch, told = begun(log, options, kinds)
    memory, learn, of_events, of_told, said = model.memory, learner(options), 0.0, 0.0, 0
    state, marks, counts = memory.state, memory.marks, memory.counts
    for first in range(0, len(log.events), BATCH):
        last = min(first + BATCH, len(log.events))
        began = time.perf_counter()
        while (
            said < len(told) and told[said].control.before <= first
        ):  # before the batch: what splitting costs is the trainer's
            describe(memory, options, *told[said])
            said += 1
        of_told += time.perf_counter() - began
        some, began = part(batch, first, last), time.perf_counter()
        learn(state, marks, counts, some)
        of_events += time.perf_counter() - began
    return 1e6 * of_events / len(log.events), 1e6 * of_told / max(said, 1)


def run(command: str, folder: Path | None, events: int = EVENTS, runs: int = 3) -> Report:
    """Measure the shop, and MovieLens where `folder` has it."""
    report = Report("Cold start", command)
    logs = [shop(events), *([movielens_genres(folder)] if folder else [])]
    for log in logs:
        _recall(report, log)
    log = logs[0]
    for name, attributes, kinds in COSTS:
        say(f"what attributes cost: {name}")
        figures = [cost(log, attributes, kinds) for _ in range(runs)]
        beside = {"µs a control event": median(figure for _, figure in figures)} if kinds else {}
        report.add(f"kernels, attributes {name}", [figure for figure, _ in figures], "µs an event", beside=beside)
    report.notes.append((__doc__ or "").strip().split("\n\n")[1].replace("\n", " "))
    return report


def _recall(report: Report, log: Described) -> None:
    held = sampled(groups(log))
    people = np.unique(log.events.users, return_inverse=True)[1].astype(np.int32)
    kinds = {one.kind for one in log.controls}
    plain = None
    for name, told in VARIANTS.items():
        if not kinds.issuperset(told):
            continue
        say(f"{log.title}: {name}")
        hits = foretold(log, told, np.logical_or.reduce(held))
        plain = hits if plain is None else plain
        for group, places in zip(GROUPS, held, strict=True):
            change = mean((hits - plain)[places], people[places])
            figure = mean(hits[places], people[places])
            beside = {"±": figure.error, "change": change.value, "± of it": change.error, "events": float(places.sum())}
            report.add(f"{log.title}, {group}, {name}", [figure.value], f"recall@{K}", beside=beside)
