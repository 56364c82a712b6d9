"""What `evaluate` costs beside learning alone, with the default sampling; and River's loop of foretelling and learning.

Processor time. Both sides read the log first, as a command does; without reading, the ratio stands beside it. Evaluating
includes all that the command does: trials of every method, the slower model, profile, figures, findings.
"""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from scripts.benchmarks import peer_river
from scripts.benchmarks.data import movielens
from scripts.benchmarks.report import Bar, Report, ratios, say
from streammf.evaluation.evaluate import evaluate
from streammf.evaluation.run import Plan
from streammf.evaluation.triers import MOST, compile_for, empty_memory
from streammf.evaluation.whole_log import WholeLog, open_log, read_whole
from streammf.learning.arguments import Batch
from streammf.learning.compiling import ready
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis

#: What evaluating may cost, in learning alone.
MOST_COST: Final = 1.5


class Case(NamedTuple):
    """A log, and what is learned from it."""

    title: str
    file: str
    options: LearningOptions


CASES: Final = (
    Case("MovieLens-100K ratings", "ml-100k.csv.gz", LearningOptions(objective="rating")),
    Case("MovieLens-100K ranking, no blend", "ml-100k.csv.gz", LearningOptions(positive_from=5, blend=False)),
    Case("MovieLens-100K ranking", "ml-100k.csv.gz", LearningOptions(positive_from=5)),
    Case("Yoochoose, no blend", "yoochoose-100k-sample.csv.gz", LearningOptions(blend=False)),
    Case("Yoochoose", "yoochoose-100k-sample.csv.gz", LearningOptions()),
)


def run(command: str, folder: Path, runs: int) -> Report:
    """Everything, case by case."""
    report = Report("Evaluating beside learning alone, processor time", command)
    for case in CASES:
        say(case.title)
        compile_for(case.options)
        ready(case.options.part)
        times = [measured(folder / case.file, case.options) for _ in range(runs + 1)][1:]  # the first warms caches
        reading, alone, whole = (list(column) for column in zip(*times, strict=True))
        report.add(f"{case.title}: learning alone", alone, "s")
        report.add("  evaluate", whole, "s")
        both = ratios(
            [a + b for a, b in zip(reading, whole, strict=True)], [a + b for a, b in zip(reading, alone, strict=True)]
        )
        report.add("  evaluate / learning alone, reading the log included", both, "×", Bar("at most", MOST_COST))
        report.add("  the same without reading", ratios(whole, alone), "×")
    events = movielens(folder)
    say("River's loop")
    began = time.process_time()
    peer_river.rmse(events)
    report.add("River BiasedMF, foretelling and learning MovieLens-100K", [time.process_time() - began], "s")
    return report


def measured(path: Path, options: LearningOptions) -> tuple[float, float, float]:
    """Seconds of reading, learning alone, evaluating."""
    times = [time.process_time()]
    with closing(open_log(path)) as source:
        log = read_whole(source, path.name, options)
    times.append(time.process_time())
    learn_alone(log, options)
    times.append(time.process_time())
    evaluate(log, options, Plan())
    times.append(time.process_time())
    reading, alone, whole = (later - earlier for earlier, later in pairwise(times))
    return reading, alone, whole


def learn_alone(log: WholeLog, options: LearningOptions) -> None:
    """What a trainer's kernels do with the log."""
    memory, learn, whole = empty_memory(log, options), learner(options), log.batch(options)
    for first in range(0, len(log), MOST):
        batch = Batch(*(column[first : first + MOST] for column in whole))
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(batch.user))
        learn(memory.state, memory.marks, memory.counts, batch)
