"""The records of the sources that read bytes themselves: the embedded log and files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streammf.events.source import Partition, Records


@dataclass(slots=True)
class PlainRecords:
    """A batch as lists and arrays: `Records` with nothing asked for late; everything has the same length."""

    values: Sequence[bytes | None]
    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    positions: Mapping[Partition, int]
    timestamps: Sequence[int]
    """ms since the epoch, -1 where the log has none."""
    keys: Sequence[bytes | None]

    def timestamp(self, i: int) -> int:
        """Record i's own timestamp, ms since the epoch; -1 where the log has none."""
        return self.timestamps[i]

    def key(self, i: int) -> bytes | None:
        """Record i's key."""
        return self.keys[i]


def one_partition(
    partition: Partition,
    first: int,
    values: Sequence[bytes | None],
    timestamps: Sequence[int],
    keys: Sequence[bytes | None],
) -> PlainRecords:
    """A batch of a log that is one partition without gaps, from offset `first` on."""
    count = len(values)
    return PlainRecords(
        values=values,
        partitions=np.zeros(count, np.int32),
        offsets=np.arange(first, first + count, dtype=np.int64),
        positions={partition: first + count},
        timestamps=timestamps,
        keys=keys,
    )


def nothing(positions: Mapping[Partition, int]) -> PlainRecords:
    """A batch without a record, that ends at these positions: they moved over what is the log's own."""
    return PlainRecords([], np.zeros(0, np.int32), np.zeros(0, np.int64), positions, [], [])


def some(records: Records, places: NDArray[np.intp]) -> PlainRecords:
    """The records at these places of a batch, which end where the batch ends."""
    numbers = places.tolist()
    return PlainRecords(
        values=[records.values[i] for i in numbers],
        partitions=records.partitions[places],
        offsets=records.offsets[places],
        positions=records.positions,
        timestamps=[records.timestamp(i) for i in numbers],
        keys=[records.key(i) for i in numbers],
    )
