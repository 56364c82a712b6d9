"""How far each input partition has been learned, and which events are new.

Rules of this file:
1. A position is the next offset. It only rises.
2. An event whose offset is below its partition's position was applied before: it is dropped, whoever delivered it again.
3. What was read and what was learned are counted apart: the reader is ahead, and uses nothing that `advance` changes.
4. A position counts only in the log that it was taken from: see losses.py, which has settled that before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streammf.errors import DataLossError
from streammf.events.event import ERASING, Control
from streammf.events.records import some
from streammf.events.source import Partition, Records, Source
from streammf.state.meta import Position
from streammf.trainer.decoding import Decoded
from streammf.trainer.order import Runs, runs


def erasures(records: Records, controls: Sequence[Control]) -> list[int]:
    """After which records of a batch nothing may be made ready before they were applied; none where it is the last alone."""
    places = [
        int(np.flatnonzero((records.partitions == control.partition) & (records.offsets == control.offset))[0])
        for control in controls
        if control.kind in ERASING
    ]
    return [] if places == [len(records.values) - 1] else places


class Progress:
    """The positions of one trainer, in the order of the rows of the table `partitions`."""

    def __init__(self, source: Source, stored: Sequence[Position]) -> None:
        """`source` stands where it is to be read on from: losses.settle."""
        known = {Partition(p.topic, p.partition): p for p in stored}
        self.met = len(known)
        """Partitions that the store knew before."""
        self.next = {partition: position.next for partition, position in known.items()}
        """The next offset of each; the n-th is row n of the table `partitions`."""
        for partition, offset in source.positions().items():
            self.next[partition] = offset
        self._ids_now = source.topic_ids()
        self._ids = {partition: position.topic_id for partition, position in known.items()}
        self._ids |= {partition: self._ids_now[partition.topic] for partition in source.partitions}
        self._row_of = {partition: row for row, partition in enumerate(self.next)}
        self._partitions = source.partitions
        self._rows = np.array([self._row_of[partition] for partition in source.partitions], np.int32)
        self._read = np.array([self.next[partition] for partition in source.partitions], np.int64)
        self._alone = self.met == 1 or len(self._rows) == 1
        """Nothing was noted of the order yet, and something may have been learned."""
        self.dropped = 0
        """Events that came again and were dropped."""

    def meet(self, partitions: tuple[Partition, ...]) -> bool:
        """Whether the source has more partitions than before; they have rows then. For the thread that reads.

        That thread hands their positions on with the next batch, and `advance` learns of them from it.
        """
        added = partitions[len(self._partitions) :]
        if not added:
            return False
        if back := [f"{topic}/{number}" for topic, number in added if (topic, number) in self._row_of]:
            raise DataLossError(f"{', '.join(back)}, which had gone, is there again: the next start says what that means")
        self._row_of |= {partition: len(self._row_of) + n for n, partition in enumerate(added)}
        self._ids |= {partition: self._ids_now[partition.topic] for partition in added}
        self._rows = np.append(self._rows, np.array([self._row_of[partition] for partition in added], np.int32))
        self._read = np.append(self._read, np.zeros(len(added), np.int64))
        self._partitions = partitions
        return True

    @property
    def read(self) -> dict[Partition, int]:
        """The next offset to be read of each. For the thread that reads."""
        return dict(zip(self._partitions, self._read.tolist(), strict=True))

    def topic_id(self, partition: Partition) -> str:
        """Of the log that a partition is of."""
        return self._ids[partition]

    def rows(self, partitions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Rows of the table `partitions` for indices into the source's partitions."""
        rows: NDArray[np.int32] = self._rows[partitions]
        return rows

    def order(self, partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> Runs:
        """The runs of a batch of records; see order.py. For the thread that reads, before `unread`."""
        if len(self._rows) == 1:
            return runs(partitions[:0], offsets[:0])
        fresh = offsets >= self._read[partitions]
        noted = runs(self._rows[partitions[fresh]], offsets[fresh])
        if self._alone:  # what was learned while there was one partition is the first run of the order
            self._alone = False
            noted = np.concatenate((np.array([[0, self._read[np.argmin(self._rows)]]], np.int64), noted))
        return noted

    def unread(self, columns: Decoded, positions: Mapping[Partition, int]) -> tuple[Decoded, NDArray[np.uint16]]:
        """What of a batch that ends at `positions` was not read before, and the kinds of the events that were.

        For the thread that reads.
        """
        starts = dict(zip(self._partitions, self._read.tolist(), strict=True))
        fresh = self._fresh(columns)
        again = columns.kinds[~fresh]
        if len(again):
            columns = columns.only(fresh)
        columns.rejected = [record for record in columns.rejected if record.offset >= starts[record.partition]]
        self._read = np.maximum(self._read, [positions[partition] for partition in self._partitions])
        return columns, again

    def parts(self, records: Records, after: Sequence[int]) -> Iterator[Records]:
        """The records of a batch in parts that end after each of these places, and the rest, if any. For the thread that reads.

        The positions of each part are where it ends; asked for once the part before was taken by `unread`.
        """
        begin = 0
        for place in after:
            end = place + 1
            if end == len(records.values):
                break
            reached = self._read.copy()
            np.maximum.at(reached, records.partitions[begin:end], records.offsets[begin:end] + 1)
            positions = dict(zip(self._partitions, reached.tolist(), strict=True))
            yield replace(some(records, np.arange(begin, end)), positions=positions)
            begin = end
        yield some(records, np.arange(begin, len(records.values))) if begin else records

    def _fresh(self, columns: Decoded) -> NDArray[np.bool_]:
        """The same as `fresh` of its events; control events that came again are dropped."""
        if not columns.controls:
            return self.fresh(columns.partitions, columns.offsets)
        before = [control.before for control in columns.controls]
        partitions = np.insert(columns.partitions, before, [control.partition for control in columns.controls])
        offsets = np.insert(columns.offsets, before, [control.offset for control in columns.controls])
        fresh = self.fresh(partitions, offsets)
        places = np.array(before) + np.arange(len(before))
        columns.controls = [one for one, new in zip(columns.controls, fresh[places].tolist(), strict=True) if new]
        return np.delete(fresh, places)

    def fresh(self, partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) which events were not read before; they are now."""
        fresh = np.ones(len(offsets), np.bool_)
        for index in np.unique(partitions):
            at = np.flatnonzero(partitions == index)
            reached = np.maximum.accumulate(np.concatenate(([self._read[index]], offsets[at] + 1)))
            fresh[at] = reached[1:] > reached[:-1]
            self._read[index] = reached[-1]
        self.dropped += len(fresh) - int(np.count_nonzero(fresh))
        return fresh

    def unmet(self, positions: Mapping[Partition, int]) -> int:
        """How many of these partitions have no row of the table `partitions` yet."""
        return sum(partition not in self.next for partition in positions)

    def advance(self, positions: Mapping[Partition, int]) -> None:
        """A batch that ends at these positions was applied."""
        for partition, position in positions.items():
            self.next[partition] = max(position, self.next.get(partition, 0))

    def stored(self) -> list[Position]:
        """As the store keeps them."""
        return [Position(p.topic, p.number, offset, self._ids[p]) for p, offset in self.next.items()]
