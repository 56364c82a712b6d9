"""Where a step keeps its intermediate vectors: made once a learner, because kernels allocate nothing."""

from typing import NamedTuple

import numpy as np

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.tables import Array, Dimensions


class Room(NamedTuple):
    """Intermediate vectors of one step. What they hold between two steps means nothing."""

    z: Array  # float32 (k,): z_u
    pull: Array  # float32 (k,): -∂loss/∂z_u
    share: Array  # float32 (H,): c_j of the history


ROOM = tuple_type([array_type("f4", 1)] * 3, Room)


def room(dimensions: Dimensions) -> Room:
    """Room for steps of a model of these dimensions."""
    k = dimensions.factors
    return Room(np.empty(k, np.float32), np.empty(k, np.float32), np.empty(dimensions.history, np.float32))
