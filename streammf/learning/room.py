"""Where a step keeps its intermediate vectors: made once a learner, because kernels allocate nothing.

Rules of this file:
1. Arrays that kernels read and write together stand APART. Before a vector loop LLVM asks whether two arrays stand closer
   than a few vectors, and if so takes a scalar loop, which adds up in another order: last bits would hang on where malloc put
   what. (Tables stand on pages of their own.)
"""

from math import prod
from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.tables import Array, Dimensions

#: Bytes between two arrays: several times the widest vector, four times unrolled.
APART: Final = 1024


class Room(NamedTuple):
    """Intermediate vectors of one step. What they hold between two steps means nothing."""

    z: Array  # float32 (k,): z_u
    pull: Array  # float32 (k,): -∂loss/∂z_u
    share: Array  # float32 (H,): c_j of the history


ROOM = tuple_type([array_type("f4", 1)] * 3, Room)


def spaced(shape: int | tuple[int, ...], dtype: str, fill: float = 0.0) -> Array:
    """A new array with nothing near it."""
    size = (prod(shape) if isinstance(shape, tuple) else shape) * np.dtype(dtype).itemsize
    whole = np.empty(size + 2 * APART, np.uint8)
    array = whole[APART : APART + size].view(dtype).reshape(shape)
    array[...] = fill
    return array


def room(dimensions: Dimensions) -> Room:
    """Room for steps of a model of these dimensions."""
    k = dimensions.factors
    return Room(spaced(k, "f4"), spaced(k, "f4"), spaced(dimensions.history, "f4"))
