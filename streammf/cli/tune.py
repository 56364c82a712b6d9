"""`streammf tune`: look for better settings of learning on a log.

Rules of this file:
1. A search is a folder: journal, best.toml, report.html. The same command again goes on with it.
2. Processes share the journal alone; one that dies takes one trial with it. Ctrl-C leaves a journal that can be gone on with.
3. What is written to start from was loaded as settings before it is named.
"""

import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import click
import msgspec

from streammf.cli.bars import Progress, bars
from streammf.cli.evaluate import learning_flags, objective_flag, positive_flag
from streammf.cli.flags import config_flag, json_flag
from streammf.errors import SourceError, StreamMFError
from streammf.evaluation import tune, tune_report
from streammf.evaluation.profile import mistaken
from streammf.evaluation.space import knobs
from streammf.evaluation.triers import compile_for
from streammf.evaluation.whole_log import WholeLog, open_log, read_whole
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import load
from streammf.operations.wording import toml

EXAMPLES: Final = """\b
Examples:
  streammf tune clicks.jsonl.gz --trials 60
  streammf tune ratings.csv --objective rating --out my-search --jobs 4"""

#: Seconds between two looks at how far the other processes are.
_LOOK: Final = 0.5


@click.command(epilog=EXAMPLES)
@click.argument("log", type=click.Path(path_type=Path))
@objective_flag
@positive_flag
@click.option("--trials", type=click.IntRange(2), default=40, show_default=True, help="Trials that the search shall have.")
@click.option("--jobs", type=click.IntRange(1), help="Processes. Default: as many as there are cores.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("streammf-tune"), show_default=True,
              help="Folder of the search: its journal, best.toml, report.html.")  # fmt: skip
@config_flag
@json_flag
def command(
    log: Path,
    objective: str | None,
    positive_from: float | None,
    trials: int,
    jobs: int | None,
    out: Path,
    file: str | None,
    as_json: bool,
) -> None:
    """Search for better settings of learning on a log, and write those found to a file to start from.

    A search that was broken off goes on where it was: give the same command again.
    """
    options = load(file, flags=learning_flags(objective, positive_from)).of(LearningOptions)
    tune.optuna()
    with bars() as bar:
        compile_for(options, bar("compiling kernels (once after an installation)"))
        whole = read(log, options, bar("reading"))
        every = tune.every_of(whole, options)
        study = tune.open_study(out, whole, options, every)
        tune.begin(study, options)
        others = [start(log, options, trials, out, number) for number in range(1, min(jobs or tune.processes(), trials))]
        shown = bar("trials")
        try:
            tune.search(study, whole, options, every, trials, lambda done, best: shown(min(done, trials), trials))
            finish(others, shown, trials)
        finally:
            for process in others:
                process.terminate()
        tuned = tune.conclude(study, whole, options, every)
    settings = out / "best.toml"
    settings.write_text(tune_report.settings_file(tuned, options, toml), encoding="utf-8")
    load(str(settings), environment={}).of(LearningOptions)
    (out / "report.html").write_text(tune_report.report(tuned, str(log), knobs(options)), encoding="utf-8")
    click.echo(msgspec.json.encode(tuned).decode() if as_json else tune_report.as_text(tuned))
    if not as_json:
        click.echo(f"\nsettings to start from: {settings}; report: {out / 'report.html'}")


def read(log: Path, options: LearningOptions, progress: Progress = lambda done, of: None) -> WholeLog:
    """The whole log. Raises SourceError where it is none for this objective."""
    source = open_log(log)
    try:
        whole = read_whole(source, str(log), options, progress)
    finally:
        source.close()
    if why := mistaken(whole, options):
        raise SourceError(why)
    return whole


def start(log: Path, options: LearningOptions, trials: int, out: Path, number: int) -> BaseProcess:
    """Another process that works on the search; it reads the log by itself."""
    arguments = (log, msgspec.json.encode(options), trials, out, number)
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def work(log: Path, settings: bytes, trials: int, out: Path, number: int) -> None:
    """That process."""
    options = msgspec.json.decode(settings, type=LearningOptions)
    compile_for(options)
    whole = read(log, options)
    every = tune.every_of(whole, options)
    study = tune.open_study(out, whole, options, every, number)
    tune.search(study, whole, options, every, trials, lambda done, best: None)


def finish(others: list[BaseProcess], shown: Progress, trials: int) -> None:
    """Let the others end what they are at."""
    while any(process.is_alive() for process in others):
        shown(trials, trials)
        time.sleep(_LOOK)
    if failed := [process.exitcode for process in others if process.exitcode]:
        raise StreamMFError(f"a process of the search ended with exit code {failed[0]}; what it had finished is kept")
