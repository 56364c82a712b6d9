"""`streammf quarantine`: the records that could not be learned from. `list` and `show` work beside a running trainer; what
changes the quarantine wants it stopped for a moment, while the query workers go on answering.

Rules of this file:
1. Bytes from outside never reach a terminal as they are.
2. Nothing is changed unless it was said which records.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag, settings, source_flags, source_settings
from streammf.cli.printable import printable
from streammf.errors import StoreError
from streammf.events.dead_letters import as_object
from streammf.events.event import REASONS
from streammf.operations.configuration import load

Command = TypeVar("Command", bound=Callable[..., Any])

EXAMPLES = """\b
Examples:
  streammf quarantine list
  streammf quarantine list --reason unknown_type --since 2026-11-01 --json > bad.jsonl
  streammf quarantine show 17
  streammf quarantine requeue --edited bad.jsonl
  streammf quarantine drop --reason malformed"""

#: Columns of a record's value in a list.
_LINE: Final = 60

_STORE_FLAG: Final = click.option("--store", metavar="FOLDER", help="The store: store.path.")
_CHOICE: Final = (
    click.option("--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only for this reason, repeatable."),
    click.option("--partition", metavar="TOPIC[/N]", help="Only from this topic, or from partition N of it."),
    click.option("--since", metavar="TIME", help="Only records stamped then or later: 2026-11-24, 2026-11-24T18:00 (UTC)."),
)


def choosing(command: Command) -> Command:
    """The flags that say which records."""
    for flag in reversed((*_CHOICE, _STORE_FLAG, config_flag)):
        command = flag(command)
    return command


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Look at the records that could not be learned from, send them again, or drop them."""


@command.command("list")
@choosing
@json_flag
def listing(
    reasons: tuple[str, ...], partition: str | None, since: str | None, store: str | None, file: str | None, as_json: bool
) -> None:
    """Name the records, oldest first, a line each. --json: whole, as `requeue --edited` takes them."""
    from streammf.operations import quarantine  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.store import Store  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with Store.open_readonly(Path(options.path)) as opened:
        for aside in quarantine.found(opened, _chosen((), reasons, partition, since)):
            click.echo(msgspec.json.encode(as_object(*aside)).decode() if as_json else _line(aside))


@command.command()
@click.argument("number", type=click.IntRange(min=0))
@_STORE_FLAG
@config_flag
@json_flag
def show(number: int, store: str | None, file: str | None, as_json: bool) -> None:
    """Show record NUMBER whole, and why it was set aside."""
    from streammf.operations import quarantine  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.store import Store  # noqa: PLC0415 - loads numba and LMDB

    options = load(file, flags=settings("store", {"path": ("--store", store)})).of(StoreOptions)
    with Store.open_readonly(Path(options.path)) as opened:
        aside = next(quarantine.found(opened, quarantine.Chosen(frozenset({number}))), None)
    if aside is None:
        raise StoreError(
            f"record {number} is not in the quarantine of {options.path}: `streammf quarantine list` shows what is"
        )
    if as_json:
        click.echo(msgspec.json.encode(as_object(*aside)).decode())
        return
    told = as_object(*aside) | {"timestamp": _moment(aside.record.timestamp)}
    for name, value in told.items():
        if isinstance(value, msgspec.Raw):
            click.echo(f"{name}:")
            for line in msgspec.json.format(bytes(value), indent=2).decode().splitlines():
                click.echo(printable(line))
        else:
            click.echo(printable(f"{name}: {'null' if value is None else value}"))


@command.command()
@click.argument("numbers", nargs=-1, type=click.IntRange(min=0))
@click.option(
    "--edited", type=click.File("rb"), help="Lines of `list --json`: those records, with the values that stand there."
)
@click.option("--all", "everything", is_flag=True, help="All that are there.")
@choosing
@source_flags
def requeue(
    numbers: tuple[int, ...],
    edited: Any,  # noqa: ANN401 - click's own file object
    everything: bool,
    reasons: tuple[str, ...],
    partition: str | None,
    since: str | None,
    store: str | None,
    file: str | None,
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
) -> None:
    """Write records to the end of the log that they came from, under their old keys, and take them out of the quarantine.

    The trainer must be stopped; it learns from them when it is started again. Mend first what was wrong: the setting, or the
    records, with --edited.
    """
    from streammf.operations import quarantine  # noqa: PLC0415 - loads numba and LMDB
    from streammf.operations.sources import named  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    values = quarantine.edited(edited) if edited is not None else {}
    chosen = _chosen((*numbers, *values), reasons, partition, since)
    _require_choice(chosen == quarantine.Chosen() and edited is None, everything)
    flags = settings("store", {"path": ("--store", store)}) | source_settings(source, path, bootstrap, topics)
    configuration = load(file, flags=flags)
    if edited is not None and not values:
        click.echo("0 records requeued: the edited list is empty")
        return
    with quarantine.owned(configuration.of(StoreOptions)) as opened:
        count = quarantine.requeue(opened, chosen, configuration, values)
    click.echo(f"{count:,} records requeued to the {named(configuration)}")


@command.command()
@click.argument("numbers", nargs=-1, type=click.IntRange(min=0))
@click.option("--all", "everything", is_flag=True, help="All that are there.")
@choosing
def drop(
    numbers: tuple[int, ...],
    everything: bool,
    reasons: tuple[str, ...],
    partition: str | None,
    since: str | None,
    store: str | None,
    file: str | None,
) -> None:
    """Remove records from the quarantine for good. The trainer must be stopped."""
    from streammf.operations import quarantine  # noqa: PLC0415 - loads numba and LMDB
    from streammf.state.options import StoreOptions  # noqa: PLC0415 - loads numba and LMDB

    chosen = _chosen(numbers, reasons, partition, since)
    _require_choice(chosen == quarantine.Chosen(), everything)
    configuration = load(file, flags=settings("store", {"path": ("--store", store)}))
    with quarantine.owned(configuration.of(StoreOptions)) as opened:
        count = quarantine.drop(opened, chosen)
    click.echo(f"{count:,} records dropped")


def _chosen(numbers: tuple[int, ...], reasons: tuple[str, ...], partition: str | None, since: str | None) -> Any:  # noqa: ANN401
    """The flags as a quarantine.Chosen, which is not to be imported before it is needed."""
    from streammf.operations.quarantine import Chosen  # noqa: PLC0415 - loads numba and LMDB

    topic, _, number = (partition or "").partition("/")
    try:
        moment = datetime.fromisoformat(since) if since else None
        at = -1 if not number else int(number)
    except ValueError as error:
        raise click.UsageError(
            f"{error}; --since wants a time as 2026-11-24T18:00, --partition wants TOPIC or TOPIC/3"
        ) from error
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Chosen(frozenset(numbers), frozenset(reasons), topic, at, int(moment.timestamp() * 1000) if moment else 0)


def _require_choice(nothing: bool, everything: bool) -> None:
    if nothing and not everything:
        raise click.UsageError("say which records: their numbers, --reason, --partition, --since, or --all")
    if everything and not nothing:
        raise click.UsageError("--all means every record: leave it out, or leave the other choices out")


def _line(aside: Any) -> str:  # noqa: ANN401
    """A record in a list."""
    number, record = aside
    place = f"{record.partition.topic}/{record.partition.number}@{record.offset}"
    value = "null" if record.value is None else record.value[:_LINE].decode(errors="replace")
    return printable(f"{number}  {_moment(record.timestamp)}  {place}  {record.reason}: {record.detail}  {value}")


def _moment(timestamp: int) -> str:
    """A timestamp for people; one that no calendar has, as it is."""
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="seconds") if timestamp >= 0 else "no time"
    except (ValueError, OverflowError, OSError):
        return str(timestamp)
