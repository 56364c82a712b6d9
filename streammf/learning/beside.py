"""Compiles kernels beside a process that does the same: `python -m streammf.learning.beside FOLDER MODULE:KERNEL...`

The folder holds the claims. What is compiled reaches the other process through the cache. It ends with that process, however
that ends.
"""

import ctypes
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from streammf.learning.claims import Claims
from streammf.learning.compiling import compile_claimed, declared

#: prctl(2): the signal that the kernel sends this process when its parent's thread that started it ends.
PARENT_DEATH_SIGNAL: Final = 1


def main() -> None:
    """Compile those of the named kernels that are not claimed yet, the second first: the other process takes the first."""
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    folder, *names = sys.argv[1:]
    for module in {name.partition(":")[0] for name in names}:
        import_module(module)
    kernels = {k.name: k for k in declared()}
    compile_claimed(Claims(Path(folder)), [kernels[name] for name in [*names[1:], names[0]]])


if __name__ == "__main__":
    main()
