"""An evaluation from a log's path to text, JSON or a page. It loads numba and the kernels."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from streammf.errors import SourceError
from streammf.evaluation.evaluate import Evaluation, evaluate
from streammf.evaluation.profile import mistaken
from streammf.evaluation.report import report
from streammf.evaluation.run import Plan
from streammf.evaluation.text import as_text
from streammf.evaluation.triers import compile_for
from streammf.evaluation.whole_log import WholeLog, open_log, read_whole
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions

Progress = Callable[[int, int], None]
"""(done, of); of = 0: nobody knows."""


def read_log(path: Path, options: LearningOptions, progress: Progress = lambda done, of: None) -> WholeLog:
    """The whole log. Raises SourceError, also where it is none for this objective."""
    source = open_log(path)
    try:
        log = read_whole(source, str(path), options, progress)
    finally:
        source.close()
    if why := mistaken(log, options):
        raise SourceError(why)
    return log


def prepared_log(path: Path, options: LearningOptions, bar: Callable[[str], Progress]) -> WholeLog:
    """The whole log, and what trying these options needs compiled: most of it after reading, which finds a wrong log out."""
    open_log(path).close()
    ready("any", report=bar("compiling what reads a log (once after an installation)"))
    log = read_log(path, options, bar("reading"))
    compile_for(options, bar("compiling what learns (once after an installation)"))
    return log


def evaluate_path(
    path: Path, options: LearningOptions, every: int | None, holdout: float, bar: Callable[[str], Progress]
) -> Evaluation:
    """Read a log and evaluate a configuration on it. `bar` makes the progress of something of a name."""
    log = prepared_log(path, options, bar)
    learning = bar("learning")
    return evaluate(log, options, Plan(every=every, holdout=holdout), lambda done: learning(done, len(log)))


def written(found: Evaluation, *, as_json: bool) -> str:
    """For stdout."""
    return msgspec.json.encode(found).decode() if as_json else as_text(found)


def write_page(found: Evaluation, path: Path) -> None:
    """The report. Raises SourceError where it cannot be written."""
    try:
        path.write_text(report(found), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"the report {path} cannot be written: {error.strerror}") from error
