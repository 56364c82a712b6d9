"""`streammf track`: events to the configured log.

Rules of this file:
1. An event is checked as the trainer checks it, before it is written: the one who sent it is told, not the quarantine.
2. A line that is no event is named and left out; the others are written all the same, and the exit code says it.
3. What is reported as written is durable, and it is reported however the command ends.
4. No line, however long, takes more memory than an event may have.
"""

import math
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import click
import msgspec
import numpy as np

from streammf.cli.flags import config_flag, json_flag, source_flags, source_settings
from streammf.cli.printable import printable
from streammf.errors import RequestError, StreamMFError
from streammf.evaluation.replay import appendable
from streammf.events.codec import decode, encode_json
from streammf.events.controls import NAMES
from streammf.events.event import MOST_ID_BYTES, Event
from streammf.events.records import PlainRecords
from streammf.events.segment import MOST_RECORD_BYTES
from streammf.events.source import Partition, Sink
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import load
from streammf.operations.sources import named, open_sink

_INPUT: Final = Partition("stdin", 0)
_CHUNK_BYTES: Final = 1 << 20
#: Of a line: with its user as the key, it must fit a record.
MOST_LINE_BYTES: Final = MOST_RECORD_BYTES - MOST_ID_BYTES

Numbered = list[tuple[int, bytes]]
"""Lines with their numbers, from 1."""

EXAMPLES: Final = """\b
Examples:
  streammf track --user ann --item film-0042
  streammf track --user ann --item film-0042 --type rating --value 4.5 --json
  streammf track --type item --item film-0042 --category drama --category war
  streammf track --type forget_user --user ann
  streammf track < events.jsonl
  tail -f clicks.jsonl | streammf track --source kafka --topic events

Exit code 10: some lines were no events and left out; all others are written."""


class Tracked(msgspec.Struct):
    """What became of the events."""

    written: int = 0
    refused: int = 0
    offsets: list[tuple[str, int, int]] = []
    """Topic, partition, and the offset of the last event there. One more is what a query's `at_least` wants."""
    why_refused: str = ""
    """Number and reason of the first line that was refused."""


@click.command(epilog=EXAMPLES)
@click.option("--user", help="Who did it.")
@click.option("--item", help="With what.")
@click.option("--type", "kind", default="click", show_default=True, help="What it was.")
@click.option("--value", type=float, default=1.0, show_default=True, help="How much: a rating, say.")
@click.option("--ts", type=int, help="When, ms since the epoch. Default: now.")
@click.option("--category", "categories", multiple=True, help="Types item and user: what it belongs to. May be repeated.")
@click.option("--hidden", is_flag=True, help="Type item: keep it out of answers.")
@source_flags
@config_flag
@json_flag
def command(
    user: str | None,
    item: str | None,
    kind: str,
    value: float,
    ts: int | None,
    categories: tuple[str, ...],
    hidden: bool,
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
    file: str | None,
    as_json: bool,
) -> None:
    """Write one event, or each line of stdin (JSON: user, item, and if you like type, value, ts, id).

    Types item and user say what one of them is: --item or --user alone, and --category. Types delete_item and forget_user
    ask to forget one.
    """
    given = _control(user, item, kind, ts, categories, hidden)
    if given is None and (user is None) != (item is None):
        raise click.UsageError("an event needs both --user and --item; without them events are read from stdin")
    if not math.isfinite(value):
        raise click.UsageError(f"--value is a number, not {value}")
    configuration = load(file, flags=source_settings(source, path, bootstrap, topics))
    types = frozenset(configuration.of(LearningOptions).types)
    if given is None and user is not None and item is not None:
        given = encode_json(Event(user=user, item=item, type=kind, value=value, ts=ts))
    if given is not None:
        batches: Iterator[Numbered] = iter([[(1, given)]])
    elif sys.stdin.isatty():
        raise click.UsageError("give --user and --item, or events on stdin, one a line")
    else:
        batches = read_lines(sys.stdin.fileno())
    tracked = Tracked()
    try:
        with closing(open_sink(configuration)) as sink:
            write(batches, sink, types, tracked, "line" if given is None else "event")
    except (StreamMFError, KeyboardInterrupt):
        if tracked.written:
            _tell(tracked, named(configuration), as_json)
        raise
    _tell(tracked, named(configuration), as_json)
    if tracked.refused:
        of = tracked.refused + tracked.written
        raise RequestError(
            "malformed", f"{tracked.refused:,} of {of:,} were no events and left out; the first: {tracked.why_refused}"
        )


def _control(
    user: str | None, item: str | None, kind: str, ts: int | None, categories: tuple[str, ...], hidden: bool
) -> bytes | None:
    """The control event that the flags say; None: they say none."""
    if (categories or hidden) and kind not in {"item", "user"}:
        raise click.UsageError("--category and --hidden are for --type item or user")
    if kind not in NAMES:
        return None
    named = NAMES[kind]
    name, other = (item, user) if named == "item" else (user, item)
    if name is None or other is not None or (hidden and kind == "user"):
        raise click.UsageError(f"--type {kind} is about one {named}: --{named}, and nothing that is not its own")
    said = {"type": kind, named: name, "categories": categories, "hidden": hidden, "ts": ts}
    return msgspec.json.encode({field: value for field, value in said.items() if value not in (None, False, ())})


def write(batches: Iterator[Numbered], sink: Sink, types: frozenset[str], tracked: Tracked, place: str = "line") -> None:
    """Check each line and write what is an event; everything of a batch is durable before the next is waited for."""
    for lines in batches:
        refused = {
            number: f"malformed: more than {MOST_LINE_BYTES:,} bytes" for number, line in lines if len(line) > MOST_LINE_BYTES
        }
        records = _records([(number, line) for number, line in lines if number not in refused])
        columns = decode(records, (_INPUT,), types)
        refused |= {rejected.offset: f"{rejected.reason}: {rejected.detail}" for rejected in columns.rejected}
        for number, why in sorted(refused.items()):
            said = printable(f"{place} {number}: {why}")
            click.echo(said, err=True)
            tracked.why_refused = tracked.why_refused or said
        tracked.refused += len(refused)
        for one in appendable(records, columns):
            sink.append(one.key, one.value, one.time)
        tracked.offsets = [(*partition, offset) for partition, offset in sink.flush().items()]
        tracked.written += len(columns.users) + len(columns.controls)


def _tell(tracked: Tracked, target: str, as_json: bool) -> None:
    """What was written, and up to where."""
    if as_json:
        told = {"written": tracked.written, "refused": tracked.refused, "offsets": tracked.offsets}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo(f"{tracked.written:,} written to the {target}")


def read_lines(descriptor: int) -> Iterator[Numbered]:
    """The lines of a stream as they arrive, blank ones left out: a batch is what is at hand."""
    number, rest = 1, b""
    while data := _at_hand(descriptor):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[: MOST_LINE_BYTES + 1]  # enough to see that it is too long
        if found := [(n, line) for n, line in enumerate(lines, number) if line.strip() or len(line) > MOST_LINE_BYTES]:
            yield found
        number += len(lines)
    if rest.strip():
        yield [(number, rest)]


def _records(lines: Numbered) -> PlainRecords:
    """One batch whose offsets are line numbers."""
    return PlainRecords(
        values=[line for _, line in lines],
        partitions=np.zeros(len(lines), np.int32),
        offsets=np.array([number for number, _ in lines], np.int64),
        positions={},
        timestamps=[int(time.time() * 1000)] * len(lines),
        keys=[None] * len(lines),
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
