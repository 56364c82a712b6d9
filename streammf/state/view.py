"""The model as one query sees it: arrays to read, how far they go, and ids.

Rules of this file:
1. A view keeps its header: whatever the trainer publishes meanwhile, counts, positions and ids of one answer agree.
   Numbers inside a row may be newer than the header, never older.
2. A view stays good as long as somebody holds it, whatever becomes of its generation.
"""

from collections.abc import Sequence

import numpy as np

from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, State
from streammf.state.header import Header
from streammf.state.ids import Ids


class View:
    """What answers are computed from."""

    __slots__ = ("_items", "_users", "counts", "header", "options", "state")

    def __init__(self, header: Header, options: LearningOptions, state: State, users: Ids, items: Ids) -> None:
        self.header = header
        self.options = options
        self.state = state
        self.counts: Array = np.array(header.counts, np.int64)
        self._users = users.until(header.counts[Axis.USER], header.user_level)
        self._items = items.until(header.counts[Axis.ITEM], header.item_level)

    def user_row(self, user: str) -> int:
        """The row of a user, -1 where it is unknown."""
        return int(self._users.rows((user,))[0])

    def user_rows(self, users: Sequence[str]) -> Array:
        """int32 (n,): the rows of users, -1 where one is unknown."""
        return self._users.rows(users)

    def item_row(self, item: str) -> int:
        """The row of an item, -1 where it is unknown."""
        return int(self._items.rows((item,))[0])

    def item_rows(self, items: Sequence[str]) -> Array:
        """int32 (n,): the rows of items, -1 where one is unknown."""
        return self._items.rows(items)

    def item_names(self, rows: Array) -> list[str]:
        """The ids of item rows."""
        return self._items.names(rows)
