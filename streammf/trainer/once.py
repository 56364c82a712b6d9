"""Leaves out events that a producer sent twice, where the configuration asks for it.

Rules of this file:
1. It comes after what the log's client delivered again was dropped: that is no event twice in the log.
2. Off, it costs a comparison a batch.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.state.store import Store
from streammf.state.window import Window, accepted_of
from streammf.trainer.decoding import Decoded

NO_KINDS: Final = np.zeros(0, np.uint16)
NO_HASHES: Final = np.zeros(0, np.uint64)


def window(store: Store, size: int, seed: int) -> Window | None:
    """The window as the last commit left it; None: ids are not looked at."""
    if not size:
        return None
    with store.read() as reading:
        return Window(size, seed, reading.accepted())


def once(known: Window | None, columns: Decoded) -> tuple[Decoded, NDArray[np.uint16], NDArray[np.uint64]]:
    """(the events that were not there before, the kinds of those that were, the hashes of the ids that are new)."""
    if known is None or columns.ids is None:
        return columns, NO_KINDS, NO_HASHES
    hashes = known.hashes(columns.ids)
    fresh = known.fresh(hashes)
    duplicates = columns.kinds[~fresh]
    return columns.only(fresh) if len(duplicates) else columns, duplicates, accepted_of(hashes, fresh)
