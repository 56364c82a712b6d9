"""A search for better settings of learning, by how well they foretell the later part of a log.

Rules of this file:
1. Events are foretold before they are learned from, and in the order of time. A search is judged on SEARCHED, what it found
   on CONFIRMED, which no trial has seen: the best of many trials is partly luck on the events that chose it.
2. The first trial is the configuration as it was.
3. A search is its journal: several processes may work on one, and one that was broken off goes on where it was. A journal of
   another log, or of other settings to start from, is refused.
4. Optuna is an extra: nothing else of StreamMF imports it.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from streammf.errors import ConfigurationError
from streammf.evaluation.run import BUDGET, Plan, Tried, default_every, run
from streammf.evaluation.space import knobs
from streammf.evaluation.summary import MEASURES, Figure, mean_of, per_event, root
from streammf.evaluation.whole_log import WholeLog
from streammf.learning.options import LearningOptions

if TYPE_CHECKING:
    from optuna import Study, Trial

#: Parts of the log: before the first one, events are only learned from.
SEARCHED: Final = (0.4, 0.75)
CONFIRMED: Final = (0.75, 1.0)
JOURNAL: Final = "journal.log"
#: A search may spend more on trying than an evaluation: its trials are compared with one another.
SEARCH_BUDGET: Final = 1.5
#: Trials drawn at random before the sampler has something to learn from.
STARTUP: Final = 10
#: Marks the trial of the settings as they were.
USUAL: Final = "as it was"


class Row(msgspec.Struct, frozen=True):
    """One trial."""

    number: int
    value: float
    settings: dict[str, float]
    usual: bool
    """The settings as they were."""


class Tuned(msgspec.Struct, frozen=True):
    """What a search found."""

    measure: str
    trials: list[Row]
    """In the order in which they were begun."""
    best: Row
    events: int
    """Confirmed on."""
    usual: Figure
    """The measure of the configuration as it was, on the part that no trial has seen."""
    found: Figure
    better: Figure
    """By how much the best is better there, on the same events; for RMSE, in squares."""
    beats: bool
    """Whether that is more than noise."""


def optuna() -> Any:  # noqa: ANN401 - a module
    """The optimiser. Raises ConfigurationError where it is not installed."""
    try:
        import optuna as found  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise ConfigurationError("streammf tune needs Optuna: pip install 'streammf[tune]'") from error
    found.logging.set_verbosity(found.logging.ERROR)  # else Ctrl-C is told as a trial that failed, with a traceback
    return found


def every_of(log: WholeLog, options: LearningOptions) -> int:
    """One event in so many is tried, of the parts that are."""
    return max(1, round(default_every(log, options) * BUDGET / SEARCH_BUDGET))


def open_study(folder: Path, log: WholeLog, options: LearningOptions, every: int, number: int = 0) -> "Study":
    """The search in a folder, begun if there is none. number: of the process, so that each draws its own."""
    found = optuna()
    folder.mkdir(parents=True, exist_ok=True)
    backend = found.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    rating = options.objective == "rating"
    study: Study = found.create_study(
        storage=found.storages.JournalStorage(backend),
        study_name="streammf",
        direction="minimize" if rating else "maximize",
        sampler=found.samplers.TPESampler(seed=options.seed + number, multivariate=True, n_startup_trials=STARTUP),
        load_if_exists=True,
    )
    own = identity(log, options, every)
    held = study.user_attrs.get("identity")
    if held is None:
        study.set_user_attr("identity", own)
    elif held != own:
        raise ConfigurationError(
            f"{folder} holds a search on another log, or from other settings: name another folder with --out, or remove it"
        )
    return study


def begin(study: "Study", options: LearningOptions) -> None:
    """Before any process works on a search: give up what one that is gone was at, and see that the usual settings are tried."""
    states = optuna().trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    there = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.WAITING))
    if not any(USUAL in trial.user_attrs for trial in there):
        settings = {knob.name: getattr(options, knob.name) for knob in knobs(options)}
        study.enqueue_trial(settings, user_attrs={USUAL: True})


def identity(log: WholeLog, options: LearningOptions, every: int) -> str:
    """What a search depends on: the events, the settings it began from, and which events are tried."""
    digest = hashlib.sha256(msgspec.json.encode([msgspec.to_builtins(options), every, SEARCHED]))
    for column in (log.user, log.item, log.value, log.time, log.user_keys, log.item_keys):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:24]


def suggested(trial: "Trial", options: LearningOptions) -> LearningOptions:
    """The settings that a trial asks for."""
    chosen: dict[str, Any] = {}
    for knob in knobs(options):
        if knob.whole:
            chosen[knob.name] = trial.suggest_int(knob.name, int(knob.low), int(knob.high), log=knob.log)
        else:
            chosen[knob.name] = trial.suggest_float(knob.name, knob.low, knob.high, log=knob.log)
    return changed(options, chosen)


def changed(options: LearningOptions, settings: dict[str, Any]) -> LearningOptions:
    """Other values for some settings, checked."""
    return msgspec.convert(msgspec.to_builtins(options) | settings, LearningOptions)


def search(
    study: "Study", log: WholeLog, options: LearningOptions, every: int, trials: int, told: Callable[[int, float], None]
) -> None:
    """Work on a search until it has so many trials. `told(trials done, best value)` after each of this process's."""
    states = optuna().trial.TrialState

    def value_of(trial: "Trial") -> float:
        tried = run(log, suggested(trial, options), Plan(every=every, part=SEARCHED))
        value = judged(log, tried)[0].value
        if value is None:
            raise ConfigurationError("no event of the part of the log that is searched on can be tried: the log is too short")
        return value

    def done() -> int:
        return len(study.get_trials(deepcopy=False, states=(states.COMPLETE,)))

    while done() < trials:
        study.optimize(value_of, n_trials=1)
        told(done(), study.best_value)


def judged(log: WholeLog, tried: Tried) -> tuple[Figure, Any]:
    """The first measure of what serves, and what each event adds to it."""
    measure = MEASURES[tried.objective][0]
    values = log.value[tried.at].astype(np.float64)
    adds = per_event(tried.objective, tried.score[:, 0], values)[measure]
    figure = mean_of(adds, log.user[tried.at])
    return (root(figure) if measure == "rmse" else figure), adds


def rows(study: "Study") -> list[Row]:
    """Every trial that was carried out."""
    done = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    return [Row(trial.number, trial.value or 0.0, dict(trial.params), USUAL in trial.user_attrs) for trial in done]


def conclude(study: "Study", log: WholeLog, options: LearningOptions, every: int) -> Tuned:
    """Hold the best of a search against the configuration as it was, on events that no trial has seen."""
    trials = rows(study)
    best = next(row for row in trials if row.number == study.best_trial.number)
    plan = Plan(every=every, part=CONFIRMED)
    usual = run(log, options, plan)
    other = usual if best.usual else run(log, changed(options, best.settings), plan)
    (usual_figure, usual_adds), (found_figure, found_adds) = judged(log, usual), judged(log, other)
    worse = usual_adds - found_adds
    better = mean_of(worse if options.objective == "rating" else -worse, log.user[usual.at])
    beats = better.value is not None and better.error is not None and better.value > 2 * better.error
    measure = MEASURES[options.objective][0]
    return Tuned(measure, trials, best, len(usual.at), usual_figure, found_figure, better, beats)


def processes() -> int:
    """As many as there are cores for this process."""
    return len(os.sched_getaffinity(0))
