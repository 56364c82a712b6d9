"""Batches on their way into the model: as they come, and with rows.

Rules of this file:
1. A batch is prepared up to the next point at which somebody may be forgotten; the rest of it waits until that is done, for
   ids may have other rows then.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streammf.events.event import Control
from streammf.learning.arguments import Batch
from streammf.state.ids import Registered, Texts


class Columns(NamedTuple):
    """n events, and the control events between them."""

    users: Texts
    items: Texts
    kinds: NDArray[np.uint16]
    """Indices into `options.types`."""
    values: NDArray[np.float32]
    times: NDArray[np.int64]
    """ms since the epoch."""
    partitions: NDArray[np.int32]
    """Rows of the table of that name."""
    offsets: NDArray[np.int64]
    controls: Sequence[Control] = ()

    @property
    def events(self) -> int:
        """n."""
        return len(self.kinds)

    def before(self, event: int) -> "Columns":
        """What comes before an event."""
        return self._part(slice(event), [one for one in self.controls if one.before < event])

    def behind(self, event: int) -> "Columns":
        """The rest."""
        rest = [one._replace(before=one.before - event) for one in self.controls if one.before >= event]
        return self._part(slice(event, None), rest)

    def _part(self, of: slice, controls: list[Control]) -> "Columns":
        users, items = (Texts(ids.text, ids.begins[of], ids.stops[of]) for ids in (self.users, self.items))
        numbers = self.kinds[of], self.values[of], self.times[of], self.partitions[of], self.offsets[of]
        return Columns(users, items, *numbers, controls)


class Told(NamedTuple):
    """A control event, and what it is about."""

    control: Control
    row: int
    """Of the user or the item; -1 where it is erased: looked up only then, after what came before it; or has no row."""


class Prepared(NamedTuple):
    """A batch whose ids have rows."""

    batch: Batch
    users: Registered
    items: Registered
    controls: Sequence[Told] = ()
    """What is to be done between its events, in order."""
    kept: NDArray[np.bool_] | None = None
    """Which events of those that came are in `batch`; the others are refused. None: all are."""
    refused: NDArray[np.int64] = np.zeros(0, np.int64)
    """Times of the refused ones, in order."""
    met: NDArray[np.uint64] = np.zeros(0, np.uint64)
    """What the sketch of new ids has counted, in order."""
    forgets: bool = False
    """Behind it is a point at which somebody may be forgotten."""
    gone: tuple[int, int] = (0, 0)
    """Users and items that were forgotten there."""
    rest: Columns | None = None
    """What comes behind that point."""


def kept_of(parts: Sequence[Prepared]) -> NDArray[np.bool_] | None:
    """(n,) which events of all parts of a batch are not refused. None: all are."""
    if all(part.kept is None for part in parts):
        return None
    return np.concatenate([
        np.ones(len(part.batch.user), np.bool_) if part.kept is None else part.kept for part in parts
    ])  # fmt: skip
