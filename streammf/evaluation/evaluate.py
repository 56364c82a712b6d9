"""Everything about a log and a configuration at once: what the log is, how well each method foretells it, what that means.

Rules of this file:
1. What the log cannot be measured for is refused by `profile.mistaken`, before it comes here.
2. The model with slower learning runs on the first part of the log alone: it is there to find rates that are far too high.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from streammf.evaluation.diagnosis import Diagnosis, Slower, diagnose, too_fast, worse_than_simple
from streammf.evaluation.profile import Profile, profile
from streammf.evaluation.run import Plan, Tried, run
from streammf.evaluation.summary import MEASURES, Summary, mean_of, per_event, root, summarise
from streammf.evaluation.whole_log import WholeLog
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array

#: Events that the slower model learns from: one in so many, and no fewer than LEAST_SLOW where there are as many.
SLOW_PART: Final = 30
LEAST_SLOW: Final = 3_000
#: How many times slower; the further ones are tried only where a simple method is better, which needs an explanation.
SLOWER: Final = (4, 16, 100)
RATES: Final = ("user_rate", "item_rate", "history_rate")


class Evaluation(msgspec.Struct, frozen=True):
    """All that `streammf evaluate` says."""

    profile: Profile
    learning: dict[str, Any]
    """The settings that were evaluated."""
    summary: Summary
    slower: Slower | None
    diagnosis: Diagnosis


def evaluate(
    log: WholeLog, options: LearningOptions, plan: Plan, progress: Callable[[int], None] = lambda done: None
) -> Evaluation:
    """Evaluate a configuration of learning on a log."""
    tried = run(log, options, plan, progress)
    summary = summarise(log, tried)
    slow = None if plan.holdout else slower(log, options, tried, SLOWER[0])
    for times in SLOWER[1:]:
        if slow is None or too_fast(summary, slow) or not worse_than_simple(summary):
            break
        slow = slower(log, options, tried, times)
    return Evaluation(profile(log, options), msgspec.to_builtins(options), summary, slow, diagnose(summary, slow))


def slower(log: WholeLog, options: LearningOptions, tried: Tried, times: int) -> Slower:
    """Learn the first part of the log so many times slower, and compare on the second half of it."""
    events = min(len(log), max(LEAST_SLOW, len(log) // SLOW_PART))
    rates = {name: getattr(options, name) / times for name in RATES}
    other = run(log.first(events), msgspec.structs.replace(options, **rates), Plan(every=tried.every, part=(0.0, 1.0)))
    name = "factors + popularity"
    column = tried.methods.index(name) if name in tried.methods else 0
    at = other.at[other.at >= events // 2]
    usual, slow = (_adds(log, one, column, at) for one in (tried, other))
    measure = MEASURES[options.objective][0]
    users = log.user[at]
    better = mean_of(usual - slow if options.objective == "rating" else slow - usual, users)
    figures = [mean_of(adds, users) for adds in (usual, slow)]
    if measure == "rmse":
        figures = [root(figure) for figure in figures]
    return Slower(times, len(at), figures[0].value, figures[1].value, better)


def _adds(log: WholeLog, tried: Tried, column: int, at: Array) -> Array:
    """What these events add to the first measure."""
    score = tried.score[np.searchsorted(tried.at, at), column]
    return per_event(tried.objective, score, log.value[at].astype(np.float64))[MEASURES[tried.objective][0]]
