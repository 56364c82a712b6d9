"""`streammf train`: the trainer by itself."""

import click

from streammf.cli.flags import config_flag, loss_flag, parent_flag, source_flags, source_settings
from streammf.operations.configuration import load
from streammf.operations.process import begin, say_compiling, say_ready, say_starting

EXAMPLES = """\b
Examples:
  streammf train
  streammf train --source kafka --bootstrap 127.0.0.1:9092 --topic events
  streammf train --source file --path ratings.csv.gz"""


@click.command(epilog=EXAMPLES)
@source_flags
@loss_flag
@config_flag
@parent_flag
def command(
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
    on_data_loss: str | None,
    file: str | None,
    parent: int | None,
) -> None:
    """Learn from the log into store and live memory, until SIGTERM or Ctrl-C. A file is learned to its end."""
    begin(parent)
    configuration = load(file, flags=source_settings(source, path, bootstrap, topics, on_data_loss))
    from streammf.operations.sources import named  # noqa: PLC0415 - loads numpy

    if parent is None:
        say_starting(f"a trainer on the {named(configuration)}")
    from streammf.operations.training import run_trainer  # noqa: PLC0415 - loads numba, LMDB and the kernels

    events = run_trainer(configuration, say_ready, say_compiling)
    click.echo(f"stopped; {events:,} events are durable")
