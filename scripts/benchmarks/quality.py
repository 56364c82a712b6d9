"""Quality of rankings in one pass, test-then-learn, with the defaults: the blend beside every simple method.

Counted are events after the first tenth whose item is known and new to the user; ranked are all items met so far without those
the user already had; equal scores count half. All methods foretell the same events from the same state.

The best simple method is the best of popularity at any half-life and of neighbours with popularity as tie-break, chosen after
the fact. z is that of a paired test over the events that only one of two methods hits (McNemar). The shortlist, which is what
queries are answered from, is held against ranking every item on a sample of the same events.
"""

import csv
import gzip
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import Events
from scripts.benchmarks.kernels import empty_model, registered
from scripts.benchmarks.report import Bar, Report, say
from streammf.learning import answers
from streammf.learning.arguments import Batch, frozen
from streammf.learning.blend_measures import METHODS, rank_by_all
from streammf.learning.features import FEATURE_NAMES
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import FEATURES, Axis, State
from streammf.state.model import Model

K: Final = 10
#: The best simple method, times this, is what the blend has to reach.
MARGIN: Final = 1.03
#: What a shortlist may lose of the hits of ranking every item.
SHORTLIST: Final = 0.995
ALL: Final = (1 << FEATURES) - 1
SIMPLE: Final = tuple(n for n, name in enumerate(METHODS) if name.startswith(("popularity", "neighbours")))
NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True)
class Log:
    """A log, and what is asked of its ranking."""

    title: str
    file: str
    at_least: float
    """Only events of this value or more."""
    recall: float
    cost: float | None
    """Most µs an event: of the whole log, or of its second half."""
    half: bool


LOGS: Final = (
    Log("MovieLens-100K, rating 5", "ml-100k.csv.gz", 5, 0.190, 25.0, half=True),
    Log("Yoochoose sample", "yoochoose-100k-sample.csv.gz", -np.inf, 0.347, 20.0, half=False),
    Log("Amazon Musical Instruments", "amazon-musical-instruments-5core.csv.gz", -np.inf, 0.139, None, half=False),
)


def run(command: str, folder: Path, *, ablation: bool) -> Report:
    """Everything, log by log."""
    report = Report("Ranking quality: recall@10 of one pass with the defaults", command)
    for log in LOGS:
        measure(report, log, read(folder / log.file, log.at_least), ablation=ablation)
    report.notes.append("the best simple method is chosen after the fact, for each log")
    report.notes.append(f"z: paired with the best simple method; shortlist: hits kept, bar {SHORTLIST}")
    return report


def read(path: Path, at_least: float) -> Events:
    """A CSV of user, item, value, timestamp (s), in the order of the file."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["value"]) >= at_least]
    return Events(
        users=[row["user"] for row in rows],
        items=[row["item"] for row in rows],
        values=np.array([float(row["value"]) for row in rows], np.float32),
        times=np.array([round(1000 * float(row["timestamp"])) for row in rows], np.int64),
    )


def measure(report: Report, log: Log, events: Events, *, ablation: bool) -> None:
    """All figures of one log."""
    say(f"{log.title}: {len(events):,} events")
    hits = ranked(events, LearningOptions(blend=True)) < K
    report.add(f"{log.title}: blend", [hits[:, 0].mean()], f"± {error(hits[:, 0]):.4f}", Bar("at least", log.recall))
    best = max(SIMPLE, key=lambda method: float(hits[:, method].mean()))
    for method, name in enumerate(METHODS[1:], 1):
        note = "the best simple method" if method == best else ""
        report.add(f"  {name}", [hits[:, method].mean()], f"± {error(hits[:, method]):.4f}", note=note)
    note = f"{len(hits):,} counted, z {paired(hits[:, 0], hits[:, best]):+.1f}"
    report.add("  blend / best simple", [hits[:, 0].mean() / hits[:, best].mean()], "", Bar("at least", MARGIN), note)
    kept = shortlisted(events, LearningOptions(blend=True))
    report.add("  shortlist / every item", [kept], "", Bar("at least", SHORTLIST), f"{kept:.2%} of the hits")
    whole, half = cost(events, LearningOptions(blend=True))
    name = "  kernel, second half" if log.half else "  kernel"
    report.add(name, [half if log.half else whole], "µs an event", None if log.cost is None else Bar("at most", log.cost))
    if ablation:
        ablate(report, events, hits[:, 0], whole)


def ablate(report: Report, events: Events, full: NDArray[np.bool_], whole: float) -> None:
    """The blend without each feature, and without each learner of vectors."""
    for feature, name in enumerate(FEATURE_NAMES):
        hits = ranked(events, LearningOptions(blend=True), ALL & ~(1 << feature))[:, 0] < K
        report.add(f"  without {name}", [hits.mean()], f"z {paired(hits, full):+.1f}")
    for name, options in (
        ("without gradient factors", LearningOptions(blend=True, gradient=False)),
        ("without least squares", LearningOptions(blend=True, least_squares=False)),
    ):
        hits = ranked(events, options)[:, 0] < K
        spared = whole - cost(events, options)[0]
        report.add(f"  {name}", [hits.mean()], f"z {paired(hits, full):+.1f}", note=f"spares {spared:.1f} µs an event")


def ranked(events: Events, options: LearningOptions, features: int = ALL) -> NDArray[np.float64]:
    """Ranks of the counted events, by every method."""
    model, batch = prepared(events, options)
    sample = np.arange(len(events)) >= len(events) // 10
    memory = model.memory
    state = cut(memory.state, int(memory.counts[Axis.ITEM]))
    ranks = rank_by_all(state, memory.marks, memory.counts, batch, options, sample, features)
    return np.asarray(ranks[ranks[:, 0] >= 0])


def cut(state: State, items: int) -> State:
    """The state with no more item rows than there are: what ranks every item goes by the length of the table."""
    return state._replace(items=type(state.items)(*(column[:items] for column in state.items)))


def prepared(events: Events, options: LearningOptions) -> tuple[Model, Batch]:
    """A model that knows all ids and has learned nothing, and the events as rows."""
    model = empty_model(options)
    batch = registered(model, events)
    model.memory.reserve(Axis.SEEN, len(events))
    return model, batch


def part(batch: Batch, first: int, last: int) -> Batch:
    """Events first .. last - 1."""
    return Batch(*(column[first:last] for column in batch))


def cost(events: Events, options: LearningOptions) -> tuple[float, float]:
    """µs an event of the learning kernel alone: over the whole log, and over its second half. Processor time."""
    model, batch = prepared(events, options)
    learn, memory = learner(options), model.memory
    state, middle = memory.state, len(events) // 2
    times = [time.process_time()]
    for first, last in ((0, middle), (middle, len(events))):
        learn(state, memory.marks, memory.counts, part(batch, first, last))
        times.append(time.process_time())
    return (times[2] - times[0]) / len(events) * 1e6, (times[2] - times[1]) / (len(events) - middle) * 1e6


def shortlisted(events: Events, options: LearningOptions, share: float = 0.2) -> float:
    """Hits of answered lists as a part of the hits of ranking every item, on a sample of the events."""
    model, batch = prepared(events, options)
    sample = np.random.default_rng(7).random(len(events)) < share
    sample[: len(events) // 10] = False
    memory, learned, answered = model.memory, learner(options), np.zeros(len(events), np.bool_)
    state, done = memory.state, 0
    reading = State._make(type(table)(*map(frozen, table)) for table in state)
    for n in np.flatnonzero(sample).tolist():
        learned(state, memory.marks, memory.counts, part(batch, done, n))
        done = n
        user = int(batch.user[n])
        seen = answers.seen_items(reading, user)
        found = answers.recommend(reading, memory.counts, options, user, NONE, K, seen)
        answered[n] = found.personal and batch.item[n] in found.rows
    model, batch = prepared(events, options)
    memory = model.memory
    state = cut(memory.state, int(memory.counts[Axis.ITEM]))
    ranks = rank_by_all(state, memory.marks, memory.counts, batch, options, sample)[:, 0]
    known = (ranks >= 0) & (events_before(batch) > 0)
    return float(answered[known].sum() / (ranks[known] < K).sum())


def events_before(batch: Batch) -> NDArray[np.int64]:
    """How many events each event's user had before it: a list for somebody without any is not the blend's."""
    before = np.zeros(len(batch.user), np.int64)
    had: dict[int, int] = {}
    for n, user in enumerate(batch.user.tolist()):
        before[n] = had.get(user, 0)
        had[user] = int(before[n]) + 1
    return before


def error(hits: NDArray[np.bool_]) -> float:
    """Standard error of a share."""
    share = float(hits.mean())
    return float(np.sqrt(share * (1 - share) / len(hits)))


def paired(hits: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """z of the events that only one of the two hits."""
    won, lost = int((hits & ~others).sum()), int((others & ~hits).sum())
    return float((won - lost) / np.sqrt(max(won + lost, 1)))
