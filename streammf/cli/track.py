"""`streammf track`: events to the configured log.

Rules of this file:
1. An event is checked as the trainer checks it, before it is written: the one who sent it is told, not the quarantine.
2. A line that is no event is named and left out; the others are written all the same, and the exit code says it.
3. What is reported as written is durable.
"""

import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import click
import msgspec
import numpy as np

from streammf.cli.flags import config_flag, json_flag, source_flags, source_settings
from streammf.errors import RequestError, SourceError
from streammf.evaluation.replay import appendable
from streammf.events.codec import decode, encode_json
from streammf.events.event import Event
from streammf.events.lines import MOST_LINE_BYTES
from streammf.events.records import PlainRecords
from streammf.events.source import Partition, Records, Sink
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import load
from streammf.operations.sources import named, open_sink

_INPUT: Final = Partition("stdin", 0)
_CHUNK_BYTES: Final = 1 << 20

EXAMPLES: Final = """\b
Examples:
  streammf track --user ann --item film-0042
  streammf track --user ann --item film-0042 --type rating --value 4.5 --json
  streammf track < events.jsonl
  tail -f clicks.jsonl | streammf track --source kafka --topic events"""


class Tracked(msgspec.Struct):
    """What became of the events."""

    written: int = 0
    refused: int = 0
    offsets: list[tuple[str, int, int]] = []
    """Topic, partition, and the offset of the last event there. One more is what a query's `at_least` wants."""


@click.command(epilog=EXAMPLES)
@click.option("--user", help="Who did it.")
@click.option("--item", help="With what.")
@click.option("--type", "kind", default="click", show_default=True, help="What it was.")
@click.option("--value", type=float, default=1.0, show_default=True, help="How much: a rating, say.")
@click.option("--ts", type=int, help="When, ms since the epoch. Default: now.")
@source_flags
@config_flag
@json_flag
def command(
    user: str | None,
    item: str | None,
    kind: str,
    value: float,
    ts: int | None,
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
    file: str | None,
    as_json: bool,
) -> None:
    """Write one event, or each line of stdin (JSON: user, item, and if you like type, value, ts, id)."""
    if (user is None) != (item is None):
        raise click.UsageError("an event needs both --user and --item; without them events are read from stdin")
    configuration = load(file, flags=source_settings(source, path, bootstrap, topics))
    types = frozenset(configuration.of(LearningOptions).types)
    if user is not None and item is not None:
        given = encode_json(Event(user=user, item=item, type=kind, value=value, ts=ts))
        batches = _records(1, [given])
    elif sys.stdin.isatty():
        raise click.UsageError("give --user and --item, or events on stdin, one a line")
    else:
        batches = _input(sys.stdin.fileno())
    with closing(open_sink(configuration)) as sink:
        tracked = write(batches, sink, types, "line" if user is None else "event")
    if as_json:
        click.echo(msgspec.json.encode(tracked).decode())
    else:
        click.echo(f"{tracked.written:,} written to the {named(configuration)}")
    if tracked.refused:
        raise RequestError(
            "malformed", f"{tracked.refused:,} of {tracked.refused + tracked.written:,} were no events and left out"
        )


def write(batches: Iterator[Records], sink: Sink, types: frozenset[str], place: str = "line") -> Tracked:
    """Check each line and write what is an event; everything of a batch is durable before the next is waited for."""
    tracked = Tracked()
    for records in batches:
        columns = decode(records, (_INPUT,), types)
        for rejected in columns.rejected:
            click.echo(f"{place} {rejected.offset}: {rejected.reason}: {rejected.detail}", err=True)
        for key, value, moment in appendable(records, columns):
            sink.append(key, value, moment)
        tracked.written += len(columns.users)
        tracked.refused += len(columns.rejected)
        tracked.offsets = [(*partition, offset) for partition, offset in sink.flush().items()]
    return tracked


def _input(descriptor: int) -> Iterator[Records]:
    """The lines of a stream as they arrive, blank ones left out: a batch is what is at hand."""
    number, rest = 1, b""
    while data := _at_hand(descriptor):
        *lines, rest = (rest + data).split(b"\n")
        yield from _records(number, lines)
        number += len(lines)
        if len(rest) > MOST_LINE_BYTES:
            raise SourceError(f"line {number} has more than {MOST_LINE_BYTES} bytes: it is no event")
    yield from _records(number, [rest])


def _records(first: int, lines: Sequence[bytes]) -> Iterator[Records]:
    """One batch whose offsets are line numbers; none where all lines are blank."""
    numbers = [number for number, line in enumerate(lines, first) if line.strip()]
    values = [line for line in lines if line.strip()]
    if values:
        yield PlainRecords(
            values=values,
            partitions=np.zeros(len(values), np.int32),
            offsets=np.array(numbers, np.int64),
            positions={},
            timestamps=[int(time.time() * 1000)] * len(values),
            keys=[None] * len(values),
        )


def _at_hand(descriptor: int) -> bytes:
    """Waits for the first bytes, then takes what is there already; empty: the end."""
    data = os.read(descriptor, _CHUNK_BYTES)
    while data and len(data) < _CHUNK_BYTES and select.select([descriptor], [], [], 0)[0]:
        more = os.read(descriptor, _CHUNK_BYTES)
        if not more:
            break
        data += more
    return data
