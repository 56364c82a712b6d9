"""Leaves out what the log still says of those whom a restored store has forgotten already, until it says so itself.

Rules of this file:
1. An id is barred from the clearing of the restored store on (state/restoring.py) up to the record that asked to forget it.
   That record ends its batch, so a batch is barred as a whole; what comes after the record is somebody new.
2. It comes after what was read before was dropped, and before ids have rows: nothing of a barred event is kept.
3. Where nobody is barred, as nearly always, it costs a comparison a batch.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.events.source import Partition
from streammf.learning.tables import Axis
from streammf.state.forgotten import hasher
from streammf.state.ids import Texts
from streammf.state.store import Store
from streammf.trainer.decoding import Decoded

NO_KINDS: Final = np.zeros(0, np.uint16)
#: What a control event that does not erase is about.
AXES: Final = {"user": Axis.USER, "item": Axis.ITEM}


class Barred:
    """Who is barred. For the thread that reads."""

    def __init__(self, store: Store, topic_ids: Mapping[str, str]) -> None:
        """topic_ids: of the log that is read: what was asked for in another one is over."""
        with store.read() as reading:
            told = [entry for entry in reading.forgotten() if entry.cleared]
        self._left = [entry for entry in told if topic_ids.get(entry.topic) == entry.topic_id]
        self._hashed = hasher(store.key) if self._left else None

    def without(self, columns: Decoded, read: Mapping[Partition, int]) -> tuple[Decoded, NDArray[np.uint16]]:
        """(the events that name nobody who is barred, the kinds of those that do). read: the next offsets before this batch."""
        if not self._left:
            return columns, NO_KINDS
        self._left = [e for e in self._left if read.get(Partition(e.topic, e.partition), e.offset + 1) <= e.offset]
        barred = {(entry.axis, entry.hash) for entry in self._left}
        if not barred or self._hashed is None:
            return columns, NO_KINDS
        fresh = ~(self._among(columns.users, Axis.USER, barred) | self._among(columns.items, Axis.ITEM, barred))
        kinds = columns.kinds[~fresh]
        if len(kinds):
            columns = columns.only(fresh)
        columns.controls = [
            one
            for one in columns.controls
            if one.kind not in AXES or (AXES[one.kind], self._hashed(AXES[one.kind], one.id.encode())) not in barred
        ]
        return columns, kinds

    def _among(self, ids: Texts, axis: Axis, barred: set[tuple[Axis, bytes]]) -> NDArray[np.bool_]:
        assert self._hashed is not None
        text = ids.text.tobytes()
        places = zip(ids.begins.tolist(), ids.stops.tolist(), strict=True)
        return np.array([(axis, self._hashed(axis, text[a:b])) in barred for a, b in places], np.bool_)
