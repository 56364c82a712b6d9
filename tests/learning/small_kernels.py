"""Kernels that take no time to compile: `python -m tests.learning.small_kernels [threads]` makes them ready, and tells."""

import sys
from concurrent.futures import ThreadPoolExecutor

from numba import types

from streammf.learning.compiling import inner, kernel, ready


@inner
def one_more(x: int) -> int:
    """x + 1."""
    return x + 1


@kernel(types.int64(types.int64))
def add_one(x: int) -> int:
    """x + 1, for Python."""
    return one_more(x)


@kernel(types.int64(types.int64, types.int64), part="rating")
def add(x: int, y: int) -> int:
    """x + y."""
    return x + y


@kernel(types.float64(types.float64, types.float64, types.float64), part="blend")
def add_three(x: float, y: float, z: float) -> float:
    """x + y + z."""
    return x + y + z


def main() -> None:
    """Print `done of` after each that had to be compiled, and what they compute. Several threads make them ready at once."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with ThreadPoolExecutor(threads) as pool:
        for made in [pool.submit(ready, report=print) for _ in range(threads)]:
            made.result()
    print(add_one(1), add(1, 2), add_three(1.0, 2.0, 3.0))  # noqa: T201


if __name__ == "__main__":
    main()
