"""`streammf evaluate`: how well each method foretells a log, event by event, and what that means.

Rules of this file:
1. Nothing but the report is written: the store and the live memory of a running trainer are not touched.
2. What the log is stands first, so that somebody whose log is the wrong one sees it before anything else.
3. Progress goes to stderr; with --json stdout holds one JSON object and nothing else.
"""

from pathlib import Path
from typing import Final

import click

from streammf.cli.bars import bars
from streammf.cli.flags import Flags, config_flag, json_flag, settings
from streammf.operations.configuration import load

EXAMPLES: Final = """\b
Examples:
  streammf evaluate clicks.jsonl.gz
  streammf evaluate ratings.csv --objective rating --html report.html
  streammf evaluate ratings.csv --positive-from 4 --holdout 0.2 --json
  streammf evaluate streammf-data/log --every 1"""


def learning_flags(objective: str | None, positive_from: float | None) -> Flags:
    """The flags of learning as settings."""
    return settings("learning", {"objective": ("--objective", objective), "positive_from": ("--positive-from", positive_from)})


objective_flag: Final = click.option(
    "--objective", type=click.Choice(["ranking", "rating"]), help="What is foretold: learning.objective."
)
positive_flag: Final = click.option(
    "--positive-from", type=float, metavar="VALUE", help="Ranking: the least value of a choice: learning.positive_from."
)


@click.command(epilog=EXAMPLES)
@click.argument("log", type=click.Path(path_type=Path))
@objective_flag
@positive_flag
@click.option(
    "--holdout", type=click.FloatRange(0, 0.9), default=0.0, metavar="PART", help="Do not learn the last part; score it."
)
@click.option("--every", type=click.IntRange(1), help="Try one event in so many. Default: what half of learning's time allows.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a report, one file.")
@config_flag
@json_flag
def command(
    log: Path,
    objective: str | None,
    positive_from: float | None,
    holdout: float,
    every: int | None,
    page: Path | None,
    file: str | None,
    as_json: bool,
) -> None:
    """Foretell every event of a log with each method, learn from it, and say who foretold best.

    LOG is a file of events (.csv, .jsonl; .gz and .zst too) or the folder of an embedded log. It is taken in the order of time.
    """
    if page is not None and not page.parent.is_dir():
        raise click.UsageError(f"--html {page}: the folder {page.parent} does not exist")
    configuration = load(file, flags=learning_flags(objective, positive_from))
    from streammf.learning.options import LearningOptions  # noqa: PLC0415 - loads numpy
    from streammf.operations.evaluating import evaluate_path, write_page, written  # noqa: PLC0415 - loads numba, the kernels

    with bars() as bar:
        found = evaluate_path(log, configuration.of(LearningOptions), every, holdout, bar)
    if page is not None:
        write_page(found, page)
    click.echo(written(found, as_json=as_json))
    if page is not None and not as_json:
        click.echo(f"\nreport written to {page}")
