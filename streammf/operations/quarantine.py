"""What was set aside, for people: found, shown, mended, written to the log again, or dropped.

Rules of this file:
1. Reading works beside a running trainer, and reads a page at a time: whoever scrolls through a list must not pin the store.
2. What changes the quarantine needs the store's lock, for the trainer is the only writer: two processes that write could both
   grow the map, which breaks a store. While a trainer runs it is a StoreBusyError that names the process.
3. A record leaves the quarantine after the log has it again, a page at a time: a crash in between writes at most one page of
   them twice, and loses none.
"""

import base64
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from streammf.errors import ConfigurationError, RequestError, StoreError
from streammf.events.event import Rejected
from streammf.operations.configuration import Configuration
from streammf.operations.sources import open_topic
from streammf.state import datafile
from streammf.state.options import StoreOptions
from streammf.state.store import Store

#: Records read, or written again, at once; each is 1 MiB at most.
PAGE: Final = 100


class Aside(NamedTuple):
    """A record of the quarantine."""

    number: int
    record: Rejected


class Chosen(NamedTuple):
    """Which records are meant: those that meet everything that is asked."""

    numbers: frozenset[int] = frozenset()
    """Empty: any."""
    reasons: frozenset[str] = frozenset()
    """Empty: any."""
    topic: str = ""
    partition: int = -1
    """-1: any."""
    since: int = 0
    """ms since the epoch: the record's own timestamp is this or later; 0: any, also one without a timestamp."""

    def holds(self, aside: Aside) -> bool:
        """Whether this one is meant."""
        record = aside.record
        return (
            (not self.numbers or aside.number in self.numbers)
            and (not self.reasons or record.reason in self.reasons)
            and self.topic in ("", record.partition.topic)
            and self.partition in (-1, record.partition.number)
            and (self.since == 0 or record.timestamp >= self.since)
        )


def pages(store: Store, chosen: Chosen) -> Iterator[list[Aside]]:
    """The records that are meant, oldest first, some at a time. In between the store may be changed."""
    first = min(chosen.numbers, default=0)
    last = max(chosen.numbers, default=2**63)
    while first <= last:
        with store.read() as reading:
            page = [Aside(*pair) for pair in islice(reading.quarantined(first), PAGE)]
        if not page:
            return
        yield list(filter(chosen.holds, page))
        first = page[-1].number + 1


def found(store: Store, chosen: Chosen) -> Iterator[Aside]:
    """The same, one by one."""
    return chain.from_iterable(pages(store, chosen))


def owned(options: StoreOptions) -> Store:
    """The store, to change its quarantine. StoreError where there is none, StoreBusyError while a trainer runs."""
    if not (Path(options.path) / datafile.NAME).exists():
        raise StoreError(f"there is no store at {options.path}")
    return Store.open(options)


def drop(store: Store, chosen: Chosen) -> int:
    """Remove the records that are meant; how many there were."""
    return sum(store.drop([aside.number for aside in page]) for page in pages(store, chosen) if page)


def requeue(store: Store, chosen: Chosen, configuration: Configuration, values: Mapping[int, bytes]) -> int:
    """Write the records that are meant to the end of the log that they came from, with their keys and timestamps, and take them
    out of the quarantine; how many. `values`: number → what is written instead of what was sent.

    Raises RequestError, before anything is written, where one of them has no value to be written.
    """
    spans = _spans(store, chosen, values)
    done = 0
    with ExitStack() as open_sinks:
        sinks = {}
        for topic, (oldest, newest) in spans.items():
            sink, check = open_topic(configuration, topic)
            sinks[topic] = open_sinks.enter_context(closing(sink))
            check(oldest, newest)
        for page in filter(None, pages(store, chosen)):
            for number, record in page:
                sinks[record.partition.topic].append(record.key, values.get(number, record.value or b""), _stamp(record))
            for sink in sinks.values():
                sink.flush()
            done += store.drop([aside.number for aside in page])
    return done


def _spans(store: Store, chosen: Chosen, values: Mapping[int, bytes]) -> dict[str, tuple[int, int]]:
    """Topic → the oldest and the newest stamp of what is to be written there."""
    spans: dict[str, tuple[int, int]] = {}
    for number, record in found(store, chosen):
        if number not in values and record.value is None:
            raise RequestError(
                "malformed", f"record {number} is a null value: give it a value with --edited, or leave it or drop it"
            )
        stamp = _stamp(record)
        oldest, newest = spans.get(record.partition.topic, (stamp, stamp))
        spans[record.partition.topic] = min(oldest, stamp), max(newest, stamp)
    return spans


def _stamp(record: Rejected) -> int:
    """The record's timestamp; now, where the log had none."""
    return record.timestamp if record.timestamp >= 0 else int(time.time() * 1000)


class _Edited(msgspec.Struct):
    """What a line of an edited list says of a record: one of the three."""

    number: int
    value: msgspec.Raw = msgspec.Raw()
    text: str | None = None
    base64: str | None = None


def edited(lines: Iterable[bytes]) -> dict[int, bytes]:
    """number → value, out of a list as `list --json` prints it, edited or not. ConfigurationError names a wrong line."""
    values = {}
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = msgspec.json.decode(line, type=_Edited)
            values[said.number] = _value(said)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise ConfigurationError(
                f"line {at} of the edited records: {error}; each line wants `number`, and `value`, `text` or `base64`, as "
                "`streammf quarantine list --json` prints them"
            ) from error
    return values


def _value(said: _Edited) -> bytes:
    if bytes(said.value) not in (b"", b"null"):
        return bytes(said.value)
    if said.text is not None:
        return said.text.encode()
    if said.base64 is not None:
        return base64.b64decode(said.base64, validate=True)
    raise ValueError(f"record {said.number} has no value")
