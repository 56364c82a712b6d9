"""`streammf replay`: a file of events into Kafka or the embedded log.

Rules of this file:
1. Nothing is created that the user did not ask for, and nothing is written to a topic that would delete it at once.
2. The events are not changed on the way; a file is checked as the trainer would check it.
3. What was written is reported however the command ends; that something was left out is said by the exit code too.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag, settings
from streammf.errors import RequestError, SourceError, StreamMFError
from streammf.evaluation.replay import Plan, Replayed, replay
from streammf.events.files import FileSource
from streammf.events.kafka_options import KafkaOptions
from streammf.events.source import Sink
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import Configuration, load
from streammf.operations.sources import named, open_sink

EXAMPLES: Final = """\b
Examples:
  streammf replay ratings.csv.gz --to log
  streammf replay clicks.jsonl --to kafka --bootstrap 127.0.0.1:9092 --topic events --create 4
  streammf replay clicks.jsonl --to log --from 2024-01-01 --until 2024-02-01 --speed 3600

Exit code 10: some lines were no events and left out; all others are written. 4: the file has no event, or cannot be
read to its end."""

#: Seconds between two lines of progress where there is no terminal.
_LINE_EVERY: Final = 3.0


def moment(text: str) -> int:
    """A date (UTC where it names no zone) or seconds since 1970, as ms since the epoch."""
    with suppress(ValueError):
        return round(float(text) * 1000)
    try:
        date = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no date like 2024-01-31T12:00:00, nor seconds since 1970") from error
    return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command(epilog=EXAMPLES)
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Choice(["log", "kafka"]), required=True, help="Where to.")
@click.option("--path", help="Folder of the embedded log: source.path.")
@click.option("--bootstrap", metavar="HOST:PORT", help="Kafka brokers: source.bootstrap_servers.")
@click.option("--topic", help="Kafka topic: source.topics.")
@click.option("--create", type=click.IntRange(1), metavar="PARTITIONS", help="Create the topic, to keep events for ever.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), help="1: as it happened; 60: a minute in a second.")
@click.option("--from", "since", type=moment, metavar="TIME", help="First time: a date, or seconds since 1970.")
@click.option("--until", type=moment, metavar="TIME", help="Time from which on events are left out.")
@click.option("--limit", type=click.IntRange(1), help="Most events.")
@config_flag
@json_flag
def command(
    log: Path,
    target: str,
    path: str | None,
    bootstrap: str | None,
    topic: str | None,
    create: int | None,
    speed: float | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    file: str | None,
    as_json: bool,
) -> None:
    """Copy a file of events to Kafka or to the embedded log, in order, keyed by user, with the events' own times.

    LOG is CSV with the header user,item,value,timestamp[,type], or JSONL; .gz and .zst too.
    """
    flags = settings(
        "source",
        {
            "kind": ("--to", target),
            "path": ("--path", path),
            "bootstrap_servers": ("--bootstrap", bootstrap),
            "topics": ("--topic", [topic] if topic else None),
        },
    )
    configuration = load(file, flags=flags)
    types = configuration.of(LearningOptions).types
    done = Replayed()
    with closing(FileSource(log)) as source:
        sink, check = _opened(configuration, create)
        try:
            with closing(sink), _progress(source, str(log)) as progress:
                replay(source, sink, types, Plan(since, until, limit, speed), progress, check, done)
        except (StreamMFError, KeyboardInterrupt):
            if done.written:
                _locate(done, source)
                _tell(done, named(configuration), as_json)
            raise
        _locate(done, source)
    _tell(done, named(configuration), as_json)
    _check(log, done)


def _opened(configuration: Configuration, create: int | None) -> tuple[Sink, Callable[[int], None]]:
    """The sink, and what it has to say about the time of the first event."""
    if configuration.kind("source") != "kafka":
        if create is not None:
            raise click.UsageError("--create is for Kafka topics; an embedded log is begun by writing to it")
        return open_sink(configuration), lambda moment: None
    from streammf.events.kafka_sink import KafkaSink, create_topic  # noqa: PLC0415 - loads librdkafka

    options = configuration.of(KafkaOptions)
    if create is not None and len(options.topics) == 1 and not create_topic(options, options.topics[0], create):
        click.echo(f"topic {options.topics[0]} is there already: it keeps its partitions and settings", err=True)
    sink = KafkaSink(options)
    return sink, sink.check_retention


def _locate(done: Replayed, source: FileSource) -> None:
    """Say of the first record that is no event in which line of the file it stands."""
    if done.first_unreadable is not None:
        done.why_unreadable = f"line {source.line_of(done.first_unreadable)}: {done.why_unreadable}"


def _tell(done: Replayed, target: str, as_json: bool) -> None:
    """The summary. Without offsets it was the sink that failed, with some of what it had been given."""
    if as_json:
        offsets = [(*partition, offset) for partition, offset in done.last_offsets.items()]
        click.echo(msgspec.json.encode(msgspec.to_builtins(done) | {"last_offsets": offsets}).decode())
    else:
        rate = done.written / max(done.seconds, 1e-9)
        did = "written" if done.last_offsets or not done.written else "handed over, not all of them written,"
        click.echo(f"{done.written:,} events {did} to the {target} in {done.seconds:.1f} s ({rate:,.0f} a second)")
        if done.controls:
            click.echo(f"{done.controls:,} control events written with them")
        if done.left_out:
            click.echo(f"{done.left_out:,} outside the chosen time")


def _check(log: Path, done: Replayed) -> None:
    """A file without a single event is an error whatever its form; so are lines that are none."""
    first = f"; the first line that is none: {done.why_unreadable}" if done.unreadable else ""
    if not done.written + done.left_out + done.controls:
        raise SourceError(f"there is no event in the file {log}{first}")
    if done.unreadable:
        said = f"{done.unreadable:,} of {done.written + done.left_out + done.unreadable:,} were no events and left out"
        raise RequestError("malformed", f"{said}; the first: {done.why_unreadable}")


@contextmanager
def _progress(source: FileSource, name: str) -> Iterator[Callable[[Replayed], None]]:
    """A bar on a terminal, else a line every few seconds; both on stderr."""
    if not sys.stderr.isatty():
        yield _lines(source)
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks at it
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task(name, total=source.progress()[1], said="")

        def show(done: Replayed) -> None:
            rate = done.written / max(done.seconds, 1e-9)
            bar.update(task, completed=source.progress()[0], said=f"{done.written:,} events, {rate:,.0f}/s")

        yield show


def _lines(source: FileSource) -> Callable[[Replayed], None]:
    due = time.monotonic() + _LINE_EVERY

    def show(done: Replayed) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_EVERY
            read, size = source.progress()
            click.echo(f"{done.written:,} events, {read / max(size, 1):.0%} of the file", err=True)

    return show
