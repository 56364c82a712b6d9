"""`streammf tune`: look for better settings of learning on a log. A search is a folder; the same command goes on with it."""

from pathlib import Path
from typing import Final

import click

from streammf.cli.bars import bars
from streammf.cli.evaluate import learning_flags, objective_flag, positive_flag
from streammf.cli.flags import config_flag, json_flag
from streammf.operations.configuration import load

EXAMPLES: Final = """\b
Examples:
  streammf tune clicks.jsonl.gz --trials 60
  streammf tune ratings.csv --objective rating --out my-search --jobs 4"""


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
    configuration = load(file, flags=learning_flags(objective, positive_from))
    from streammf.learning.options import LearningOptions  # noqa: PLC0415 - loads numpy
    from streammf.operations.tuning import PAGE, SETTINGS, tune_path, written  # noqa: PLC0415 - loads numba and the kernels

    with bars() as bar:
        tuned = tune_path(log, configuration.of(LearningOptions), trials, jobs, out, bar)
    click.echo(written(tuned, as_json=as_json))
    if not as_json:
        click.echo(f"\nsettings to start from: {out / SETTINGS}; report: {out / PAGE}")
