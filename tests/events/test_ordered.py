"""A log of several partitions, read again in an order that is known."""

import random

import numpy as np
import pytest

from streammf.errors import DataLossError
from streammf.events.event import Event
from streammf.events.ordered import Ordered
from streammf.events.source import Partition
from tests.trainer.partitioned import PartitionedSource
from tests.trainer.sources import clicks


def read(source: Ordered | PartitionedSource, most: int = 50) -> list[tuple[int, int, bytes | None]]:
    """(partition, offset, value) of everything."""
    found: list[tuple[int, int, bytes | None]] = []
    while not source.exhausted:
        records = source.poll(most, 0.01)
        if records is not None:
            found += zip(records.partitions.tolist(), records.offsets.tolist(), records.values, strict=True)
    return found


def test_the_order_of_another_reading_comes_again_up_to_its_ends() -> None:
    events = clicks(500)
    first = PartitionedSource(events, 3, random.Random(1))
    wanted = read(first)
    rows = np.array([partition for partition, _, _ in wanted])
    last = np.flatnonzero(np.diff(rows, append=-1))
    runs = [(first.partitions[wanted[n][0]], wanted[n][1] + 1) for n in last.tolist()]
    again = Ordered(PartitionedSource(events, 3, random.Random(2)), runs, first.ends())
    assert read(again, most=7) == wanted
    assert again.positions() == first.ends()
    assert again.exhausted


def test_only_what_was_learned_is_given_and_the_end_may_lie_beyond_the_last_record() -> None:
    source = PartitionedSource([Event(user="a", item=str(n)) for n in range(10)], 1)
    ordered = Ordered(source, [(source.partitions[0], 4)], {source.partitions[0]: 6})
    assert [offset for _, offset, _ in read(ordered)] == [0, 1, 2, 3]
    assert ordered.positions() == {source.partitions[0]: 6}


def test_a_log_that_no_longer_has_a_record_is_data_loss() -> None:
    source = PartitionedSource([Event(user="a", item=str(n)) for n in range(10)], 1)
    ordered = Ordered(source, [(Partition("parted", 0), 12)], {Partition("parted", 0): 12})
    assert len(ordered.poll(100, 0.01).values) == 10  # type: ignore[union-attr]
    with pytest.raises(DataLossError, match="up to 12, the log gives nothing after 10"):
        ordered.poll(100, 0.01)
