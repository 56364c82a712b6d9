"""How kernels are compiled: once after an installation, cached, and for exact types only.

Rules of this file:
1. A kernel that Python calls is declared with `kernel(signature)`; what only kernels call, with `inner`.
2. Importing compiles nothing. `ready()` compiles or loads everything; a call before it, or with other types than the
   signature's (float64, a strided or a read-only array where a writable one is due), is a TypeError.
3. No nnan, no ninf: full fastmath would delete the NaN checks that guard the model.
4. What need not allocate does not count references either: with forty arrays among its arguments a learning kernel spent
   nine tenths of its time on that. So `inner` functions never allocate, and a kernel says whether it does. They are always
   inlined: a call would hand over hundreds of words (plain biased MF: .21 µs an event with calls, .07 without).
5. The cache is named after the text of every kernel file: numba looks only at the file that a kernel stands in, so a change
   in a function that the kernel calls would otherwise be missed.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

FASTMATH = {"contract", "arcp", "nsz", "reassoc", "afn"}

#: Rooms with kernels in them.
KERNEL_ROOMS = ("learning", "state", "trainer")

#: numba's stubs know only part of what these take.
_njit: Any = numba.njit
_settings: Any = numba.config

_kernels: list[tuple[Any, Any]] = []


def _cache_folder() -> Path:
    room = Path(__file__).parent.parent
    text = hashlib.sha256(numba.__version__.encode())
    for path in sorted(path for name in KERNEL_ROOMS for path in (room / name).glob("*.py")):
        text.update(path.read_bytes())
    home = os.environ.get("NUMBA_CACHE_DIR") or os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    base = Path(home) / "streammf-kernels"
    try:
        base.mkdir(parents=True, exist_ok=True)
        if not os.access(base, os.W_OK):
            raise PermissionError
    except OSError:  # a user without a home: compiled again after each restart of the machine, not of the process
        base = Path(tempfile.gettempdir()) / f"streammf-kernels-{os.getuid()}"
    return base / text.hexdigest()[:16]


_settings.CACHE_DIR = str(_cache_folder())


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """A function that only kernels (and their tests) call; compiled for the types it is called with."""
    declared = _njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy", _nrt=False, forceinline=True)
    compiled: Callable[P, R] = declared(function)
    return compiled


def kernel(
    signature: Any,  # noqa: ANN401 - numba's own type objects
    *,
    allocates: bool = True,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that Python calls, for exactly these numba types. It runs without the GIL."""

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = _njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy", _nrt=allocates)
        dispatcher: Any = declared(function)
        dispatcher._can_compile = False  # what disable_compile() sets; it refuses to before the first signature
        _kernels.append((dispatcher, signature))
        compiled: Callable[P, R] = dispatcher
        return compiled

    return declare


def ready(report: Callable[[int, int], None] | None = None) -> None:
    """Compile, or load from the cache, every kernel declared so far.

    `report(done, of)` is called only when something really had to be compiled: after the first kernel that was not in the
    cache, and after each one that follows.
    """
    with _alone():
        missed = False
        for done, (dispatcher, signature) in enumerate(_kernels, 1):
            if dispatcher.signatures:
                continue
            dispatcher._can_compile = True
            dispatcher.compile(signature)
            dispatcher.disable_compile()
            missed = missed or bool(dispatcher.stats.cache_misses)
            if missed and report:
                report(done, len(_kernels))


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time compiles; the others wait, and load what it made."""
    folder = Path(_settings.CACHE_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
