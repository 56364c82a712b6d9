"""Was anything lost, or learned twice? Counted from the log, by means that share nothing with the trainer's.

Rules of this file:
1. The log is read by a plain consumer from its first record, and its records by the standard library and `msgpack`.
2. A record that is no event must stand in the quarantine, once; one that is, in the counts of its user and of its item.
3. What does not agree is said in words; no words: everything agrees.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgpack
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from scripts.turmoil.house import PARTITIONS, TOPIC
from streammf.learning.tables import TABLES, Axis, Dimensions
from streammf.state.meta import Meta
from streammf.state.reading import Reading
from streammf.state.records import BlockLayout, columns_of
from streammf.state.store import Store

#: Seconds until a broker that has just been broken gives its log.
PATIENCE: Final = 60.0
SAID: Final = 5


class Log(NamedTuple):
    """What is in it."""

    events: int
    users: Counter[str]
    items: Counter[str]
    bad: Counter[tuple[int, int]]
    """(partition, offset) of what is no event."""
    ends: dict[int, int]


def read(bootstrap: str) -> Log:
    """The whole log."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verifier", "enable.auto.commit": False, "log_level": 0})
    try:
        partitions = [TopicPartition(TOPIC, n, 0) for n in range(PARTITIONS)]
        ends = {p.partition: consumer.get_watermark_offsets(p, timeout=PATIENCE)[1] for p in partitions}
        consumer.assign(partitions)
        found = Log(0, Counter(), Counter(), Counter(), ends)
        events = 0
        for record in _records(consumer, sum(ends.values())):
            event = _event(record.value())
            if event is None:
                found.bad[record.partition(), record.offset()] += 1
                continue
            events += 1
            found.users[event["user"]] += 1
            found.items[event["item"]] += 1
        return found._replace(events=events)
    finally:
        consumer.close()


def _records(consumer: Consumer, count: int) -> Iterator[Any]:
    """So many records; fewer where none comes for long."""
    while count > 0:
        batch = [record for record in consumer.consume(min(count, 1000), PATIENCE) if record.error() is None]
        if not batch:
            return
        count -= len(batch)
        yield from batch


def _event(value: bytes) -> dict[str, Any] | None:
    """An event as `people.Writer` writes them; None: it is none."""
    try:
        found = json.loads(value) if value[:1] == b"{" else msgpack.unpackb(value)
    except (ValueError, msgpack.UnpackException):
        return None
    if not isinstance(found, dict) or not found.get("user") or not found.get("item"):
        return None
    return found if isinstance(found.get("value", 1.0), float) else None


def differences(log: Log, store: Store) -> list[str]:
    """What the store does not have as the log has it."""
    with store.read() as reading:
        meta = reading.meta()
        if meta is None:
            return ["the store holds no model"]
        aside = Counter((rejected.partition.number, rejected.offset) for _, rejected in reading.quarantined())
        said = [] if meta.events == log.events else [f"{log.events:,} events in the log, {meta.events:,} applied"]
        if meta.rejected != log.bad.total():
            said.append(f"{log.bad.total():,} records that are no events, {meta.rejected:,} rejected")
        positions = {position.partition: position.next for position in meta.positions}
        if positions != log.ends:
            said.append(f"the log ends at {log.ends}, the store's positions are {positions}")
        said += _differing("in quarantine", log.bad, aside)
        said += _differing("events of user", log.users, _events(reading, meta, Axis.USER))
        return said + _differing("events of item", log.items, _events(reading, meta, Axis.ITEM))


def _events(reading: Reading, meta: Meta, axis: Axis) -> Counter[str]:
    """Id → events applied, as the rows have them."""
    table = next(table for table in TABLES if table.axis == axis)
    layout = BlockLayout.of(table, Dimensions(**meta.dimensions))
    applied: list[int] = []
    for first, joined in reading.blocks(layout, meta.counts[axis]):
        for part, rows in columns_of(layout, joined, first, meta.counts[axis]):
            if part.name == "events":
                applied += np.ascontiguousarray(rows).view(part.dtype).ravel().tolist()
    names: list[str] = []
    for chunk in reading.ids(axis, meta.counts[axis]):
        stops = np.cumsum(np.frombuffer(chunk.lengths, np.uint8), dtype=np.int64).tolist()
        names += [chunk.heap[a:b].decode() for a, b in zip([0, *stops], stops, strict=False)]
    return Counter(dict(zip(names, applied, strict=True)))


def _differing(what: str, wanted: Counter[Any], found: Counter[Any]) -> list[str]:
    odd = [key for key in sorted(wanted.keys() | found.keys()) if wanted[key] != found[key]]
    return [f"{what} {key}: {wanted[key]} in the log, {found[key]} in the store" for key in odd[:SAID]]
