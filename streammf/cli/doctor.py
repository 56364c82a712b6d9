"""`streammf doctor`: whether a store is what it should be. Reads only; a trainer may go on meanwhile."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag, settings
from streammf.errors import ExitCode, SourceError
from streammf.operations.configuration import load

EXAMPLES = """\b
Examples:
  streammf doctor
  streammf doctor --store backups/monday
  streammf doctor --against-source --json"""


@click.command(epilog=EXAMPLES)
@click.option("--store", metavar="FOLDER", help="The store, or a snapshot: store.path.")
@click.option("--against-source", is_flag=True, help="Ask the log, too, whether it still holds the positions.")
@config_flag
@json_flag
@click.pass_context
def command(context: click.Context, store: str | None, against_source: bool, file: str | None, as_json: bool) -> None:
    """Read all of a store: structure, every row, ids both ways, positions, quarantine. Exit code 6 where anything is wrong."""
    from streammf.state.examination import examined  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    configuration = load(file, flags=settings("store", {"path": ("--store", store)}))
    options = configuration.of(StoreOptions)
    with _progress() as tell:
        report = examined(Path(options.path), tell, allow_network=options.allow_network)
    code = ExitCode.STORE if report.problems else ExitCode.DONE
    if against_source and not report.problems:
        from streammf.operations.replayable import log_of  # noqa: PLC0415 - loads the trainer

        try:
            with log_of(configuration) as lost:
                reason = lost(report.positions)
        except SourceError as error:
            code, reason = error.exit_code, f"the log cannot be asked: {error}"
        else:
            code = ExitCode.DATA_LOSS if reason else code
        report.problems += [reason] if reason else []
    if as_json:
        click.echo(msgspec.json.encode({"healthy": not report.problems, **msgspec.to_builtins(report)}).decode())
    else:
        for line in (*report.problems, *(f"remark: {remark}" for remark in report.remarks)):
            click.echo(line)
        held = ", ".join(f"{report.counts[axis]:,} {axis}s" for axis in ("user", "item") if axis in report.counts)
        said = f"problems: {len(report.problems):,}" if report.problems else "healthy"
        click.echo(f"{report.path}: {said}; commit {report.commit:,}, {report.events:,} events, {held or 'no rows'}")
    context.exit(code)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what, part: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks at it
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda what, part: bar.update(task, description=what, completed=part)
