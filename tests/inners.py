"""What only kernels call, as kernels have it, for tests that call it by itself."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

from streammf.learning.compiling import FASTMATH

P = ParamSpec("P")
R = TypeVar("R")

_njit: Any = numba.njit


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, compiled for whatever it is called with."""
    made: Callable[P, R] = _njit(fastmath=FASTMATH, error_model="numpy")(function)
    return made
