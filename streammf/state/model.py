"""The writable model: ids, memory and kernels joined. The trainer and the library face learn through it alone.

Rules of this file:
1. All room that a batch may need is reserved before the kernel runs; a kernel never meets the end of a table.
2. Rows are given in the order of events, so the split of a log into batches shows nowhere.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streammf.events.event import MOST_VALUE
from streammf.learning.arguments import Batch
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.ids import Ids
from streammf.state.memory import Memory


class Model:
    """What learns, whatever its memory is made of."""

    def __init__(self, options: LearningOptions, memory: Memory, users: Ids, items: Ids) -> None:
        self.options = options
        self.memory = memory
        self.users = users
        self.items = items
        self._learn = learner(options)

    @property
    def events(self) -> int:
        """Events applied so far."""
        return int(self.memory.state.whole.events[0])

    @property
    def clock(self) -> int:
        """The event clock: the largest event time applied, ms since the epoch."""
        return int(self.memory.state.whole.clock[0])

    @property
    def value_range(self) -> tuple[float, float]:
        """The least and the greatest value that can be learned from: the scale of ratings, or any."""
        return self.options.scale if self.options.objective == "rating" else (-MOST_VALUE, MOST_VALUE)

    def learn(
        self,
        users: Sequence[str],
        items: Sequence[str],
        types: Sequence[str],
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        partitions: NDArray[np.int32],
        offsets: NDArray[np.int64],
    ) -> None:
        """Apply events in order, one at a time. All columns have length n; `partitions` are rows of the table of that name.

        Raises MemoryFullError before anything is learned.
        """
        n = len(users)
        memory = self.memory
        user_rows, new_users = self.users.register(users)
        memory.add_rows(Axis.USER, new_users)  # before items: ids and rows agree, should those find no room
        item_rows, new_items = self.items.register(items)
        memory.add_rows(Axis.ITEM, new_items)
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + n)
        weights = np.fromiter(map(self.options.types.__getitem__, types), np.float32, n)
        if self.options.objective == "ranking":
            weights[values < self.options.positive_from] = 0.0
        batch = Batch(user_rows, item_rows, values, weights, times, partitions, offsets)
        self._learn(memory.state, memory.marks, memory.counts, batch)
