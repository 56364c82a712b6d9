"""What every source of events promises, as one battery of tests (the contract itself: streammf/events/source.py).

Rules of this file:
1. A source plugs in by subclassing `GrowingSourceContract` (a log) or `FiniteSourceContract` (a file), with a fixture
   `maker`.
2. The battery speaks in events, not in bytes: a source may deliver other bytes than were written if they decode alike.
3. With several partitions order is promised within a key only; whole sequences are compared key by key.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pytest

from streammf.errors import DataLossError
from streammf.events.codec import decode
from streammf.events.source import Partition, Source
from tests.waiting import wait_for

#: Seconds that a test waits for something that must happen. Long: only a failing test ever waits that long.
DEADLINE = 30.0
START = 1_700_000_000_000


class Record(NamedTuple):
    """One record to be written: the value is an event in JSON with every field that a file can hold."""

    key: bytes
    value: bytes
    timestamp: int


class Seen(NamedTuple):
    """One event as it came out of a source."""

    partition: Partition
    offset: int
    event: tuple[str, str, str, float, int]


class Maker(Protocol):
    """Makes one log of events and opens sources on it."""

    def write(self, records: Sequence[Record]) -> None:
        """Write the records, in order, durably. A maker of a log may be asked again; of a file, once."""
        ...

    def open(self) -> Source:
        """A new source on the log, at its beginning."""
        ...


class ForgetfulMaker(Maker, Protocol):
    """Makes logs that may grow and whose beginning may go."""

    def forget(self, partition: Partition) -> int:
        """Remove some records from the partition's beginning; returns the first offset that is left (> 0)."""
        ...


def records(count: int, first: int = 0) -> list[Record]:
    """`count` distinct events, numbered from `first`, of a few users, at distinct times."""
    return [_record(n) for n in range(first, first + count)]


def _record(n: int) -> Record:
    user = f"user-{n * n % 11}"
    event = {"user": user, "item": f"item-{n}", "type": "view", "value": n % 5 + 0.5, "ts": START + 7 * n}
    return Record(user.encode(), json.dumps(event).encode(), START + 7 * n)


def event_of(record: Record) -> tuple[str, str, str, float, int]:
    """What a decoded record must say."""
    event = json.loads(record.value)
    return event["user"], event["item"], event["type"], event["value"], event["ts"]


def read(source: Source, count: int, most: int = 1000) -> list[Seen]:
    """Poll until `count` events came, checking each batch against the contract."""
    seen: list[Seen] = []
    deadline = time.monotonic() + DEADLINE
    while len(seen) < count:
        assert time.monotonic() < deadline, f"only {len(seen)} of {count} events came"
        assert not source.exhausted or len(seen) >= count, f"the source ended after {len(seen)} of {count} events"
        seen.extend(poll(source, min(most, count - len(seen))))
    return seen


def poll(source: Source, most: int, timeout: float = 0.1) -> list[Seen]:
    """One poll whose batch is checked: limits, shapes, and positions that are those after the batch."""
    before = source.positions()
    batch = source.poll(most, timeout)
    if batch is None:
        return []
    assert 1 <= len(batch.values) <= most
    assert batch.offsets.dtype == np.int64
    assert batch.partitions.dtype == np.int32
    assert len(batch.values) == len(batch.offsets) == len(batch.partitions)
    assert dict(batch.positions) == source.positions()
    assert set(batch.positions) == set(source.partitions)
    columns = decode(batch, source.partitions, {"view"})
    assert columns.rejected == []
    rows = zip(columns.users, columns.items, columns.types, columns.values.tolist(), columns.times.tolist(), strict=True)
    seen = [
        Seen(source.partitions[number], offset, event)
        for number, offset, event in zip(columns.partitions.tolist(), columns.offsets.tolist(), rows, strict=True)
    ]
    _check_offsets(seen, before, batch.positions)
    return seen


def _check_offsets(seen: Sequence[Seen], before: Mapping[Partition, int], after: Mapping[Partition, int]) -> None:
    """Within each partition: from the position before, strictly rising, to below the position after."""
    least = dict(before)
    for one in seen:
        assert one.offset >= least[one.partition]
        least[one.partition] = one.offset + 1
    for partition, position in after.items():
        assert position >= least[partition]


def check_same_events(seen: Sequence[Seen], written: Sequence[Record]) -> None:
    """The same events, in the same order within each user."""
    assert _by_user(one.event for one in seen) == _by_user(event_of(record) for record in written)


def _by_user(events: Iterable[tuple[str, str, str, float, int]]) -> dict[str, list[tuple[str, str, str, float, int]]]:
    users: dict[str, list[tuple[str, str, str, float, int]]] = {}
    for event in events:
        users.setdefault(event[0], []).append(event)
    return users


class SourceContract:
    """What holds for every source."""

    def test_events_come_once_each_and_in_the_order_of_their_user(self, maker: Maker) -> None:
        written = records(2500)
        maker.write(written)
        source = maker.open()
        source.seek({})
        check_same_events(read(source, 2500), written)
        assert poll(source, 10) == []
        source.close()

    def test_a_source_starts_at_the_beginning_with_positions_zero(self, maker: Maker) -> None:
        maker.write(records(20))
        source = maker.open()
        source.seek({})
        assert set(source.positions()) == set(source.partitions)
        assert set(source.positions().values()) == {0}
        source.close()

    def test_positions_after_the_last_event_are_the_ends(self, maker: Maker) -> None:
        maker.write(records(50))
        source = maker.open()
        source.seek({})
        read(source, 50)
        wait_for(lambda: poll(source, 1, 0.01) == [] and source.positions() == source.ends(), "positions at the ends")
        standing = source.standing()
        assert (standing.ends, standing.readable, standing.trouble) == (source.ends(), source.ends(), "")
        source.close()

    @pytest.mark.parametrize("most", [1, 7, 64])
    def test_a_poll_never_returns_more_than_was_asked_for(self, maker: Maker, most: int) -> None:
        written = records(100)
        maker.write(written)
        source = maker.open()
        source.seek({})
        check_same_events(read(source, 100, most), written)
        source.close()

    def test_reopening_at_the_positions_gives_exactly_the_rest(self, maker: Maker) -> None:
        written = records(300)
        maker.write(written)
        seen: list[Seen] = []
        positions: dict[Partition, int] = {}
        for count in (1, 99, 150, 50):
            source = maker.open()
            source.seek(positions)
            seen.extend(read(source, count, most=40))
            positions = source.positions()
            source.close()
        check_same_events(seen, written)
        assert len({(one.partition, one.offset) for one in seen}) == 300

    def test_seeking_back_delivers_the_same_events_at_the_same_offsets(self, maker: Maker) -> None:
        maker.write(records(200))
        source = maker.open()
        source.seek({})
        read(source, 120)
        middle = source.positions()
        first = sorted(read(source, 80))
        source.seek(middle)
        assert source.positions() == middle
        assert sorted(read(source, 80)) == first
        source.seek({})
        assert set(source.positions().values()) == {0}
        assert len(read(source, 200)) == 200
        source.close()

    def test_a_position_above_the_end_is_data_loss_that_says_how_much(self, maker: Maker) -> None:
        maker.write(records(30))
        source = maker.open()
        partition = source.partitions[0]
        end = source.ends()[partition]
        with pytest.raises(DataLossError, match=r"\b17\b"):
            source.seek({partition: end + 17})
        source.close()

    def test_a_position_at_the_end_is_none(self, maker: Maker) -> None:
        maker.write(records(30))
        source = maker.open()
        source.seek(source.ends())
        assert source.positions() == source.ends()
        assert poll(source, 10, 0.05) == []
        source.close()

    def test_a_topic_keeps_its_identity(self, maker: Maker) -> None:
        maker.write(records(30))
        first, second = maker.open(), maker.open()
        assert first.topic_ids() == second.topic_ids()
        assert set(first.topic_ids()) == {partition.topic for partition in first.partitions}
        assert all(first.topic_ids().values())
        first.close()
        second.close()

    def test_closing_twice_is_closing_once(self, maker: Maker) -> None:
        maker.write(records(3))
        source = maker.open()
        source.close()
        source.close()


class FiniteSourceContract(SourceContract):
    """What holds for a source that ends."""

    def test_a_source_is_exhausted_after_its_last_event_and_not_before(self, maker: Maker) -> None:
        maker.write(records(10))
        source = maker.open()
        assert not source.exhausted
        read(source, 9)
        assert not source.exhausted
        read(source, 1)
        wait_for(lambda: source.poll(1, 0.01) is None and source.exhausted, "exhausted")
        source.seek({})
        assert not source.exhausted
        source.close()


class GrowingSourceContract(SourceContract):
    """What holds for a log that may grow."""

    def test_an_empty_log_waits_for_as_long_as_it_was_told(self, maker: Maker) -> None:
        maker.write([])
        source = maker.open()
        source.seek({})
        begun = time.monotonic()
        assert source.poll(10, 0.2) is None
        assert 0.19 <= time.monotonic() - begun < 5
        assert not source.exhausted
        source.close()

    def test_a_full_batch_is_not_waited_for(self, maker: Maker) -> None:
        maker.write(records(5))
        source = maker.open()
        source.seek({})
        begun = time.monotonic()
        seen: list[Seen] = []
        while len(seen) < 5:
            seen.extend(poll(source, 1000, DEADLINE))
        assert time.monotonic() - begun < DEADLINE / 2
        source.close()

    def test_what_is_written_after_opening_comes_too(self, maker: Maker) -> None:
        written = records(100)
        maker.write(written[:60])
        source = maker.open()
        source.seek({})
        seen = read(source, 60)
        maker.write(written[60:])
        seen.extend(read(source, 40))
        check_same_events(seen, written)
        assert not source.exhausted
        source.close()

    def test_keys_and_timestamps_of_records_are_kept(self, maker: Maker) -> None:
        written = records(20)
        maker.write(written)
        source = maker.open()
        source.seek({})
        kept: list[Record] = []
        deadline = time.monotonic() + DEADLINE
        while len(kept) < 20 and time.monotonic() < deadline:
            if (batch := source.poll(7, 0.1)) is not None:
                for i, value in enumerate(batch.values):
                    key = batch.key(i)
                    assert key is not None
                    assert value is not None
                    kept.append(Record(key, value, batch.timestamp(i)))
        assert sorted(kept) == sorted(written)
        source.close()

    def test_a_position_before_the_log_s_start_is_data_loss_that_says_how_much(self, maker: ForgetfulMaker) -> None:
        maker.write(records(200))
        source = maker.open()
        partition = source.partitions[0]
        source.close()
        start = maker.forget(partition)
        assert start > 0
        source = maker.open()
        with pytest.raises(DataLossError, match=rf"\b{start}\b"):
            source.seek({partition: 0})
        with pytest.raises(DataLossError, match=r"\b1\b"):
            source.seek({partition: start - 1})
        source.seek({partition: start})
        assert source.positions()[partition] == start
        source.close()
