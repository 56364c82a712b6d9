"""Means with their standard errors, and two ways held against each other on the very same events.

Rules of this file:
1. One person's events are one observation of several parts (evaluation/summary.py): an error counts people, not events.
2. A difference is that of the same events, so that most of what makes events hard drops out of its error; z is their ratio.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.summary import mean_of

Floats = NDArray[np.floating[Any]]
People = NDArray[np.int32]


class Mean(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float

    @property
    def z(self) -> float:
        """How many standard errors it is from 0."""
        return self.value / self.error if self.error > 0 else 0.0


def mean(values: Floats, people: People) -> Mean:
    """Of what each event gives; people: whose events they are."""
    figure = mean_of(np.asarray(values, np.float64), people)
    return Mean(figure.value or 0.0, figure.error or 0.0)


def ratio(above: Floats, below: Floats, people: People) -> Mean:
    """Of two means, with the error of a ratio of sums (linearised)."""
    found = float(above.mean() / below.mean())
    return Mean(found, mean((above - found * below) / below.mean(), people).error)


def root_change(squares: Floats, others: Floats, people: People) -> Mean:
    """The root of one mean of squares less that of another."""
    return mean((squares - others) / (np.sqrt(squares.mean()) + np.sqrt(others.mean())), people)
