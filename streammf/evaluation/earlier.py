"""What came before each event among those with the same key: counts and sums, without a loop over events."""

import numpy as np
from numpy.typing import NDArray


def earlier_counts(keys: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many entries before each have its key."""
    order, start = _groups(keys)
    found = np.empty(len(keys), np.int64)
    found[order] = np.arange(len(keys)) - start
    return found


def earlier_sums(keys: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the values of the entries before each that have its key."""
    order, start = _groups(keys)
    before = np.concatenate([[0.0], np.cumsum(values[order])])
    found = np.empty(len(keys))
    found[order] = before[:-1] - before[start]
    return found


def _groups(keys: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that puts equal keys side by side, and for each place of it where its group begins."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    places = np.arange(len(keys))
    return order, np.maximum.accumulate(np.where(first, places, 0))
