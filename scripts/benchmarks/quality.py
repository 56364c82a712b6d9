"""Quality in one pass, test-then-learn, with the defaults: the blend beside every simple method, and without each of its parts.

Counted are events after the first tenth whose item is known and new to the user; ranked are all items met so far without those
the user already had; equal scores count half. All methods foretell the same events from the same state.

The best simple method is the best of popularity at any half-life and of neighbours with popularity as tie-break, chosen after
the fact. A change is the row's figure less the blend's on the same events; standard errors take one person's events together,
and z is the change by its own: a paired test. The shortlist, which is what queries are answered from, is held against ranking
every item on a sample of the same events. The blend without each part says what the part adds to recall and to the kernel's
time; the second needs quiet cores.
"""

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.ablation import DEFAULTS, RUNS, VARIANTS, Cost, Variant, costs, spared
from scripts.benchmarks.baskets import BASKET, basket_events
from scripts.benchmarks.data import Events
from scripts.benchmarks.paired import Floats, Mean, People, mean, ratio, root_change
from scripts.benchmarks.ranked import K, Progress, answered, counted_of, prepared, ranked
from scripts.benchmarks.report import Bar, Report, say
from streammf.cli.bars import bars
from streammf.learning.blend_measures import METHODS
from streammf.learning.options import LearningOptions
from streammf.learning.stack_measures import PREDICTIONS, foretell_by_parts

#: The best simple method, times this, is what the blend has to reach.
MARGIN: Final = 1.03
#: What a shortlist may lose of the hits of ranking every item, and the share of the events that it is looked at for.
SHORTLIST: Final = 0.995
LISTED: Final = 0.2
SIMPLE: Final = tuple(n for n, name in enumerate(METHODS) if name.startswith(("popularity", "neighbours")))
#: Most µs an event on baskets, and how many there are.
BASKET_COST: Final = 30.0
BASKETS: Final = 2_000


class Log(NamedTuple):
    """A log, and what is asked of its ranking."""

    title: str
    file: str
    at_least: float
    """Only events of this value or more."""
    recall: float
    cost: float | None
    """Most µs an event: of the whole log, or of its second half."""
    half: bool
    share: float
    """The share of the events by which the blend without its parts is judged."""


LOGS: Final = (
    Log("MovieLens-100K, rating 5", "ml-100k.csv.gz", 5, 0.190, 25.0, half=True, share=1.0),
    Log("Yoochoose sample", "yoochoose-100k-sample.csv.gz", -np.inf, 0.347, 20.0, half=False, share=0.15),
    Log("Amazon Musical Instruments", "amazon-musical-instruments-5core.csv.gz", -np.inf, 0.139, None, half=False, share=1.0),
)


class RatedLog(NamedTuple):
    """A log, and the most that errors of its ratings may be; None: those of biases alone."""

    title: str
    file: str
    rmse: float | None
    mae: float | None


RATED: Final = (
    RatedLog("MovieLens-100K", "ml-100k.csv.gz", 0.925, 0.728),
    RatedLog("Amazon Musical Instruments", "amazon-musical-instruments-5core.csv.gz", None, None),
)


class Found(NamedTuple):
    """What one log gave."""

    people: People
    """(events,)"""
    ranks: NDArray[np.float64]
    """(events, METHODS)"""
    held: NDArray[np.bool_]
    personal: NDArray[np.bool_]
    """See ranked.answered."""
    ablated: list[NDArray[np.float64]]
    """(events,) ranks by each variant."""
    costs: list[list[Cost]]
    """Of the defaults, then of each variant that is switched."""


def run(command: str, folder: Path) -> Report:
    """Everything, log by log."""
    report = Report("Quality of one pass with the defaults: recall@10, errors of ratings, µs of a kernel", command)
    for log in LOGS:
        say(log.title)
        events = read(folder / log.file, log.at_least)
        present(report, log, measure(events, VARIANTS, log.share))
    for rated in RATED:
        present_ratings(report, rated, read(folder / rated.file, -np.inf))
    present_baskets(report)
    report.notes += [
        "±: standard error, one person's events taken together; change: the row less the blend on the same events (ratings:",
        "  less biases alone), paired; z: change by its standard error; the best simple method is chosen after the fact",
        f"µs: the kernel, median of {RUNS} runs, processor time; spares: what the kernel takes less without it",
    ]
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


def measure(events: Events, variants: tuple[Variant, ...], share: float) -> Found:
    """Everything about one log: ranks on all cores, then costs on one."""
    n = len(events)
    some = counted_of(n, share)
    with working("ranking", n * (2 + len(variants))) as (pool, progress):
        whole = pool.submit(ranked, events, DEFAULTS, counted_of(n), progress)
        lists = pool.submit(answered, events, DEFAULTS, counted_of(n, LISTED), progress)
        ablated: list[Future[NDArray[np.float64]]] = [
            pool.submit(ranked, events, variant.options, some, progress, variant.features) for variant in variants
        ]
        held, personal = lists.result()
        ranks, others = whole.result(), [future.result()[:, 0] for future in ablated]
    people = np.unique(np.array(events.users), return_inverse=True)[1].astype(np.int32)
    timed = costs(events, [DEFAULTS, *(variant.options for variant in variants if variant.switched)])
    return Found(people, ranks, held, personal, others, timed)


@contextmanager
def working(name: str, total: int) -> Iterator[tuple[ThreadPoolExecutor, Progress]]:
    """Threads, one a core, and what tells how much of `total` they have done."""
    done = np.zeros(1, np.int64)
    with bars() as bar, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        show: Callable[[int, int], None] = bar(name)

        def progress(more: int) -> None:
            done[0] += more
            show(int(done[0]), total)

        yield pool, progress


def present(report: Report, log: Log, found: Found) -> None:
    """Rows of one log."""
    counted = found.ranks[:, 0] >= 0
    hits, people = (found.ranks[counted] < K).astype(np.float64), found.people[counted]
    blend = mean(hits[:, 0], people)
    note = f"{len(hits):,} events counted"
    report.add(f"{log.title}: blend", [blend.value], "recall@10", Bar("at least", log.recall), note, {"±": blend.error})
    best = max(SIMPLE, key=lambda method: float(hits[:, method].mean()))
    for method, name in enumerate(METHODS[1:], 1):
        note = "the best simple method" if method == best else ""
        add_changed(report, f"  {name}", hits[:, method], hits[:, 0], people, note)
    over = ratio(hits[:, 0], hits[:, best], people)
    report.add("  blend / best simple", [over.value], "×", Bar("at least", MARGIN), beside={"±": over.error})
    listed = counted & counted_of(len(counted), LISTED) & found.personal
    kept = ratio(1.0 * found.held[listed], 1.0 * (found.ranks[listed, 0] < K), found.people[listed])
    note = f"of {int(listed.sum()):,} events"
    report.add("  shortlist / every item", [kept.value], "×", Bar("at least", SHORTLIST), note, {"±": kept.error})
    present_cost(report, log, found.costs[0])
    present_ablation(report, found)


def add_changed(
    report: Report, name: str, hits: Floats, blend: Floats, people: People, note: str = "", more: dict[str, float] | None = None
) -> None:
    """A row of recall held against the blend's."""
    own, change = mean(hits, people), mean(hits - blend, people)
    report.add(name, [own.value], "recall@10", note=note, beside=changed(own, change) | (more or {}))


def changed(own: Mean, change: Mean) -> dict[str, float]:
    """What stands beside a figure that is held against another."""
    return {"±": own.error, "change": change.value, "its ±": change.error, "z": change.z}


def present_cost(report: Report, log: Log, full: list[Cost]) -> None:
    """What the kernel takes."""
    bar = None if log.cost is None else Bar("at most", log.cost)
    times = [one.half if log.half else one.whole for one in full]
    name = "  kernel, second half of the log" if log.half else "  kernel, the whole log"
    report.add(name, [median(times)], "µs an event", bar, f"{min(times):.1f} to {max(times):.1f}")


def present_ablation(report: Report, found: Found) -> None:
    """The blend without each of its parts: recall on a sample, and time."""
    full = median(one.whole for one in found.costs[0])
    switched = iter(found.costs[1:])
    for variant, ranks in zip(VARIANTS, found.ablated, strict=True):
        counted = ranks >= 0
        more = {}
        if variant.switched:
            less = spared(found.costs[0], next(switched))
            more = {"spares µs": less, "of all": less / full}
        hits, blend = 1.0 * (ranks[counted] < K), 1.0 * (found.ranks[counted, 0] < K)
        note = f"{int(counted.sum()):,} events" if counted.sum() < (found.ranks[:, 0] >= 0).sum() else ""
        add_changed(report, f"  {variant.name}", hits, blend, found.people[counted], note, more)


def present_ratings(report: Report, log: RatedLog, events: Events) -> None:
    """Errors of ratings, beside those of biases alone."""
    options = LearningOptions(objective="rating")
    model, batch = prepared(events, options)
    memory = model.memory
    foretold = foretell_by_parts(memory.state, memory.marks, memory.counts, batch, options)
    off = foretold - events.values[:, None]
    served, biases = (off[:, PREDICTIONS.index(name)] for name in ("served", "biases"))
    rmse = [float(np.sqrt(np.mean(column * column))) for column in (served, biases)]
    mae = [float(np.mean(np.abs(column))) for column in (served, biases)]
    squares = root_change(served * served, biases * biases, batch.user)
    sizes = mean(np.abs(served) - np.abs(biases), batch.user)
    for name, (own, simple), limit, change in (("RMSE", rmse, log.rmse, squares), ("MAE", mae, log.mae, sizes)):
        bar = Bar("at most", simple if limit is None else limit)
        beside = {"change": change.value, "its ±": change.error, "z": change.z}
        report.add(f"{log.title}: {name}", [own], "of ratings", bar, f"biases alone {simple:.4f}", beside)


def present_baskets(report: Report) -> None:
    """What the kernel takes on baskets."""
    times = [one.whole for one in costs(basket_events(BASKETS), [DEFAULTS])[0]]
    name = f"{BASKETS:,} baskets of {BASKET}: kernel"
    report.add(name, [median(times)], "µs an event", Bar("at most", BASKET_COST), f"{min(times):.1f} to {max(times):.1f}")
