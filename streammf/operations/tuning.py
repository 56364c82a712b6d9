"""A search for better settings from a log's path to a folder: journal, best.toml, report.html. It loads numba and the kernels.

Rules of this file:
1. Processes share the journal alone; one that dies takes one trial with it. Ctrl-C leaves a journal that can be gone on with.
2. What is written to start from was loaded as settings before it is named.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import msgspec

from streammf.errors import ConfigurationError, StreamMFError
from streammf.evaluation import tune, tune_report
from streammf.evaluation.space import knobs
from streammf.evaluation.triers import compile_for
from streammf.evaluation.tune import Tuned
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import load
from streammf.operations.evaluating import Progress, prepared_log, read_log
from streammf.operations.wording import toml

SETTINGS: Final = "best.toml"
PAGE: Final = "report.html"
#: Seconds between two looks at whether the other processes have ended.
_LOOK: Final = 0.2


def tune_path(
    path: Path, options: LearningOptions, trials: int, jobs: int | None, out: Path, bar: Callable[[str], Progress]
) -> Tuned:
    """Search until there are so many trials, and write what was found. `bar` makes the progress of something of a name."""
    tune.optuna()
    log = prepared_log(path, options, bar)
    every = tune.every_of(log, options)
    study = tune.open_study(out, log, options, every)
    tune.begin(study, options)
    others = [_start(path, options, trials, out, number) for number in range(1, min(jobs or tune.processes(), trials))]
    shown = bar("trials")
    try:
        tune.search(study, log, options, every, trials, lambda done, best: shown(min(done, trials), trials))
        _finish(others)
    finally:
        for process in others:
            process.terminate()
    tuned = tune.conclude(study, log, options, every)
    _write(tuned, options, path, out)
    return tuned


def written(tuned: Tuned, *, as_json: bool) -> str:
    """For stdout."""
    return msgspec.json.encode(tuned).decode() if as_json else tune_report.as_text(tuned)


def _write(tuned: Tuned, options: LearningOptions, path: Path, out: Path) -> None:
    settings = out / SETTINGS
    try:
        settings.write_text(tune_report.settings_file(tuned, options, toml), encoding="utf-8")
        (out / PAGE).write_text(tune_report.report(tuned, str(path), knobs(options)), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the folder {out} cannot be written: {error.strerror}") from error
    load(str(settings), environment={}).of(LearningOptions)


def _start(path: Path, options: LearningOptions, trials: int, out: Path, number: int) -> BaseProcess:
    """Another process that works on the search; it reads the log by itself."""
    arguments = (path, msgspec.json.encode(options), trials, out, number)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments, daemon=True)
    process.start()
    return process


def _work(path: Path, settings: bytes, trials: int, out: Path, number: int) -> None:
    """That process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; who began the search ends the others
    options = msgspec.json.decode(settings, type=LearningOptions)
    compile_for(options)
    log = read_log(path, options)
    every = tune.every_of(log, options)
    tune.search(tune.open_study(out, log, options, every, number), log, options, every, trials, lambda done, best: None)


def _finish(others: list[BaseProcess]) -> None:
    """Let the others end what they are at."""
    while any(process.is_alive() for process in others):
        time.sleep(_LOOK)
    if failed := [process.exitcode for process in others if process.exitcode]:
        raise StreamMFError(f"a process of the search ended with exit code {failed[0]}; what it had finished is kept")
