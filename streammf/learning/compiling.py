"""How kernels are compiled: once after an installation, cached, and for exact types only.

Rules of this file:
1. A kernel that Python calls is declared with `kernel(signature)`; what only kernels call, with `inner`.
2. Importing compiles nothing. `ready(...)` compiles or loads what its caller uses; a call before it, or with other types than
   the signature's (float64, a strided or a read-only array where a writable one is due), is a TypeError.
3. No nnan, no ninf: full fastmath would delete the NaN checks that guard the model.
4. What need not allocate does not count references either: with forty arrays among its arguments a learning kernel spent
   nine tenths of its time on that. So `inner` functions never allocate, and a kernel says whether it does. They are always
   inlined: a call would hand over hundreds of words (plain biased MF: .21 µs an event with calls, .07 without).
5. `inner` functions have no way in from Python: unpacking hundreds of words a function was half of all compiling. Called from
   Python they are what they are written as.
6. The cache is named after the text of every kernel file, and where they stand: numba looks only at the file that a kernel
   stands in, so a change in a function that the kernel calls would otherwise be missed; and it finds nothing that another copy
   of the files compiled, so neither is to wait for the other.
7. Where two cores are free two processes compile (`beside`): each takes the largest kernel that nobody has taken yet.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

import numba
from numba.extending import register_jitable

from streammf.learning.claims import Claims

P = ParamSpec("P")
R = TypeVar("R")

FASTMATH = {"contract", "arcp", "nsz", "reassoc", "afn"}

#: Rooms with kernels in them.
KERNEL_ROOMS = ("learning", "state", "trainer")

Part = Literal["any", "ranking", "blend", "rating", "stack", "measuring"]
"""Who uses a kernel: everybody; a learner, or who answers from what it learned; who measures."""

#: numba's stubs know only part of what these take.
_njit: Any = numba.njit
_settings: Any = numba.config
_jitable: Any = register_jitable


class Kernel(NamedTuple):
    """A kernel, compiled or not."""

    dispatcher: Any
    signature: Any
    part: Part

    @property
    def name(self) -> str:
        """Where it stands: module:function."""
        return f"{self.dispatcher.py_func.__module__}:{self.dispatcher.py_func.__name__}"

    @property
    def cached(self) -> bool:
        """Whether it seems to stand in the cache; only `prepare` knows, which compiles for this very processor."""
        return any(Path(self.dispatcher.stats.cache_path).glob(f"*.{self.dispatcher.py_func.__qualname__}-*.nbi"))

    def prepare(self) -> bool:
        """Compile it, or load it from the cache; says whether it had to be compiled. Threads may do so at once."""
        with _preparing:
            if self.dispatcher.signatures:
                return False
            self.dispatcher._can_compile = True
            self.dispatcher.compile(self.signature)
            self.dispatcher.disable_compile()
            return bool(self.dispatcher.stats.cache_misses)


_kernels: list[Kernel] = []
_preparing = threading.Lock()


def _cache_folder() -> Path:
    room = Path(__file__).parent.parent
    text = hashlib.sha256(f"{numba.__version__} {room}".encode())
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
    """A function that only kernels call; compiled for the types it is called with. To Python it stays what it is."""
    declared = _jitable(nogil=True, fastmath=FASTMATH, error_model="numpy", _nrt=False, forceinline=True, no_cfunc_wrapper=True)
    compiled: Callable[P, R] = declared(function)
    return compiled


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """As `inner`, but inlined only where the compiler would: what is large, runs seldom and is called from several places."""
    declared = _jitable(nogil=True, fastmath=FASTMATH, error_model="numpy", _nrt=False, no_cfunc_wrapper=True)
    compiled: Callable[P, R] = declared(function)
    return compiled


def kernel(
    signature: Any,  # noqa: ANN401 - numba's own type objects
    *,
    allocates: bool = True,
    brief: bool = False,
    part: Part = "any",
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that Python calls, for exactly these numba types. It runs without the GIL, but where it is brief: getting
    the lock back from a thread that took it meanwhile costs up to half a millisecond.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        declared = _njit(cache=True, nogil=not brief, fastmath=FASTMATH, error_model="numpy", _nrt=allocates)
        dispatcher: Any = declared(function)
        dispatcher._can_compile = False  # what disable_compile() sets; it refuses to before the first signature
        _kernels.append(Kernel(dispatcher, signature, part))
        compiled: Callable[P, R] = dispatcher
        return compiled

    return declare


def declared(*parts: Part) -> list[Kernel]:
    """The kernels that are declared so far and that these parts use, those that take longest to compile first; none: all.

    What is given most arrays takes longest.
    """
    chosen = [k for k in _kernels if not parts or k.part == "any" or k.part in parts]
    return sorted(chosen, key=lambda k: -str(k.signature).lower().count("array("))


def ready(*parts: Part, report: Callable[[int, int], None] | None = None) -> None:
    """Compile, or load from the cache, every kernel that these parts use; without parts, every kernel declared so far.

    `report(done, of)` is called before the first that has to be compiled, or waited for, and after each.
    """
    wanted = [k for k in declared(*parts) if not k.dispatcher.signatures]
    if not wanted:
        return
    if not all(k.cached for k in wanted):  # else a trainer that starts again would wait for whoever compiles something else
        if report:
            report(0, len(wanted))
        with _alone():
            missing = [k for k in wanted if not k.cached]
            with _helped(missing) as claims:
                compile_claimed(claims, missing, report)
    for done, k in enumerate(wanted, 1):  # those, too, that another process compiled, or failed to
        if k.prepare() and report:
            report(done, len(wanted))


def compile_claimed(claims: Claims, kernels: list[Kernel], report: Callable[[int, int], None] | None = None) -> None:
    """Compile those of `kernels` that nobody else has claimed."""
    for k in kernels:
        if claims.take(k.name):
            k.prepare()
            claims.finish(k.name)
            if report:
                report(claims.finished(), len(kernels))


@contextmanager
def _helped(missing: list[Kernel]) -> Iterator[Claims]:
    """What this process and a helper of it claim; at the end the helper has ended. Whatever it fails to do is left to us."""
    with TemporaryDirectory(prefix="claims-", dir=_settings.CACHE_DIR) as folder:
        claims = Claims(Path(folder))
        if len(missing) < 2 or len(os.sched_getaffinity(0)) < 2:
            yield claims
            return
        paths = os.pathsep.join(map(os.path.abspath, sys.path))
        command = [sys.executable, "-m", "streammf.learning.beside", folder, *(k.name for k in missing)]
        quiet = subprocess.DEVNULL
        helper = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            yield claims
            helper.wait()
        finally:
            helper.kill()
            helper.wait()


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time (with its helper) compiles; the others wait, and load what it made."""
    folder = Path(_settings.CACHE_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
