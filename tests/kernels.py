"""Compiles every kernel before the tests: `python -m tests.kernels`. One that compiles would run into its time limit."""

import sys
from importlib import import_module
from pathlib import Path

from streammf.learning.compiling import KERNEL_ROOMS, ready

ROOM = Path(__file__).parents[1] / "streammf"


def main() -> None:
    """Import whatever declares one, and compile."""
    for room in KERNEL_ROOMS:
        for path in sorted((ROOM / room).glob("*.py")):
            if "@kernel" in path.read_text():
                import_module(f"streammf.{room}.{path.stem}")
    ready(report=say)


def say(done: int, of: int) -> None:
    """How far it is."""
    sys.stderr.write(f"\r{done} of {of} kernels")


if __name__ == "__main__":
    main()
