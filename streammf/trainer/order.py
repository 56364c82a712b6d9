"""In which order records of several partitions were learned from: what makes a run repeatable that a network decided.

Rules of this file:
1. A run is (row of the table `partitions`, the offset after its last record). Runs follow one another as they were learned.
2. One partition has one order: nothing is noted then.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: (n, 2) runs.
Runs = NDArray[np.int64]


def runs(rows: NDArray[np.int32], offsets: NDArray[np.int64]) -> Runs:
    """The runs of records of these partitions and offsets, in order."""
    last = np.flatnonzero(np.diff(rows, append=-1))
    return np.column_stack((rows[last].astype(np.int64), offsets[last] + 1))


def joined(parts: Sequence[Runs]) -> Runs:
    """One after the other; where one goes on with the partition that the one before ended with, they are one."""
    whole = np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)
    return whole[np.flatnonzero(np.diff(whole[:, 0], append=-1))]
