"""Growable mapped bytes: a file, or private memory, whose whole capacity has one address from the beginning.

Rules of this file:
1. The whole capacity is mapped once and backed by nothing. What grows is only what stands behind it: neither writer nor
   reader ever maps again, and an array made once is good for the life of the region.
2. Nothing is touched that `reserve` has not backed: a full file system is an exception here, and not a SIGBUS there.
3. A region is never unmapped under an array: its pages go when the last array over them goes.
4. What is backed stands on huge pages where the kernel gives them: the rows of an event are anywhere in memory, and with
   512 times fewer pages the processor knows where most of them are. Nothing else depends on it.
"""

import ctypes
import errno
import math
import mmap
import os
import sys
from pathlib import Path
from typing import Self

import numpy as np

from streammf.errors import MemoryFullError
from streammf.learning.tables import Array

PAGE = mmap.PAGESIZE

#: Bytes asked of the file system at once. tmpfs gives up an allocation when a signal arrives, and Python starts it
#: again: a piece must be short (64 MiB: about 15 ms) against the time between two signals.
PIECE = 64 << 20

#: Most bytes backed before they are needed: asking is rare, and a stop of 2 ms (7 ms where they are filled, too).
AHEAD = 16 << 20

#: Linux's value on x86 and ARM; Python names it since 3.13. Without it the kernel refuses more than the machine has.
MAP_NORESERVE = 0x4000

#: Bytes of a huge page on x86, and on ARM with pages of 4 KiB.
HUGE = 2 << 20
#: Linux's values; Python names neither. MADV_COLLAPSE is there since 6.1 and asks no setting of the system: tmpfs would give
#: huge pages only to who may change how it is mounted.
MAP_FIXED = 0x10
MADV_COLLAPSE = 25

#: What a file system says when it has no room: full, over a quota, over a limit of the process or of its memory group.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def pages(size: int, page: int = PAGE) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // page) * page


class Region:
    """`capacity` bytes at one address. Made by `anonymous`, `create` or `attach`."""

    def __init__(self, mapped: mmap.mmap, capacity: int, path: Path | None = None, descriptor: int = -1) -> None:
        self._mapped: mmap.mmap | None = mapped
        self._first = first_of(mapped)
        self._descriptor = descriptor
        self._readonly = path is not None and descriptor < 0
        self._huge = True
        self.path = path
        self.capacity = capacity
        self._backed = 0

    @classmethod
    def anonymous(cls, capacity: int) -> Self:
        """Private memory; the kernel backs a page when it is first touched."""
        capacity = max(capacity, PAGE)
        try:
            return cls(addresses(capacity), capacity)
        except (OSError, ValueError, OverflowError) as error:
            raise no_address(capacity, error) from error

    @classmethod
    def create(cls, path: Path, capacity: int) -> Self:
        """A new file, sparse to its whole capacity, readable by its owner only: ids are personal data."""
        capacity = max(capacity, PAGE)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise not_writable(path, error) from error
        try:
            os.ftruncate(descriptor, capacity)
            mapped = addresses(capacity)
            place(mapped, capacity, descriptor, mmap.PROT_READ | mmap.PROT_WRITE)
            return cls(mapped, capacity, path, descriptor)
        except (OSError, ValueError, OverflowError) as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno not in NO_ROOM:
                raise not_writable(path, error) from error
            raise no_address(capacity, error) from error

    @classmethod
    def attach(cls, path: Path) -> Self:
        """Read what another process writes. OSError where there is no such file."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            capacity = os.fstat(descriptor).st_size
            mapped = addresses(capacity)
            place(mapped, capacity, descriptor, mmap.PROT_READ)
            return cls(mapped, capacity, path)
        finally:
            os.close(descriptor)

    def array(self, dtype: str, shape: tuple[int, ...], offset: int = 0) -> Array:
        """An array over the bytes from `offset` on; read-only where the region is attached."""
        assert self._mapped is not None, "the region is closed"
        whole = memoryview(self._mapped)
        flat = np.frombuffer(whole.toreadonly() if self._readonly else whole, dtype, math.prod(shape), self._first + offset)
        return flat.reshape(shape)

    def room(self) -> int:
        """Bytes that the file system has left; private memory: the kernel does not say."""
        if self.path is None:
            return sys.maxsize
        space = os.fstatvfs(self._descriptor)
        return space.f_bavail * space.f_frsize

    def reserve(self, start: int, stop: int) -> None:
        """Back the bytes [start, stop), so that they may be touched. MemoryFullError where there is no room."""
        if self.path is None:
            return
        try:
            if stop - start <= self.room():
                self._collapse(start, stop)
            for piece in range(start, stop, PIECE):
                os.posix_fallocate(self._descriptor, piece, min(PIECE, stop - piece))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise not_writable(self.path, error) from error
            raise no_room(self.path, stop - start, error) from error

    def _collapse(self, start: int, stop: int) -> None:
        """Back those of the bytes from `start` on that end a huge page before `stop`: by one, with what it holds already.

        Backed by small pages first, the same bytes would be written three times: as zeros, there, and copied. Refused once for
        another reason than that a page is in use, huge pages are not asked for again: looking for room takes time.
        """
        assert self._mapped is not None, "the region is closed"
        for page in range(start // HUGE * HUGE, stop // HUGE * HUGE, HUGE):
            if self._huge:
                os.posix_fallocate(self._descriptor, max(page, start), 1)  # where there is nothing yet, the kernel refuses
                refused = _libc.madvise(address(self._mapped) + self._first + page, HUGE, MADV_COLLAPSE) != 0
                self._huge = not refused or ctypes.get_errno() == errno.EAGAIN

    def grow(self, size: int) -> None:
        """Back the first `size` bytes, and some more where there is room, so that few calls have anything to do."""
        if size <= self._backed:
            return
        size = min(pages(size), self.capacity)
        ahead = min(max(size, self._backed + min(self._backed, AHEAD)), self.capacity)
        try:
            self.reserve(self._backed, ahead)
        except MemoryFullError:
            ahead = size
            self.reserve(self._backed, ahead)
        self._backed = ahead

    def close(self) -> None:
        """Let go. Arrays made before stay good. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._mapped = None


def address(mapped: mmap.mmap) -> int:
    """Where mapped memory begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(mapped))


def first_of(mapped: mmap.mmap) -> int:
    """The first byte of `addresses` at which a huge page can begin."""
    return -address(mapped) % HUGE


def addresses(capacity: int) -> mmap.mmap:
    """Private memory, backed when it is touched: `capacity` bytes from the first on at which a huge page can begin."""
    return mmap.mmap(-1, capacity + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)


def place(mapped: mmap.mmap, capacity: int, descriptor: int, access: int) -> None:
    """Let a file stand where private memory stood, which nobody has touched yet."""
    at = address(mapped) + first_of(mapped)
    if _libc.mmap(at, capacity, access, mmap.MAP_SHARED | MAP_FIXED, descriptor, 0) != at:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def no_room(path: Path, wanted: int, error: OSError) -> MemoryFullError:
    """The file system is too small, with its sizes and the setting that names another."""
    space = os.statvfs(path.parent)
    free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    return MemoryFullError(
        f"the live memory is full: {path} needs {mebibytes(wanted)} more, {path.parent} has {mebibytes(free)} free of "
        f"{mebibytes(total)} ({error.strerror}); give that file system more room, or set live.path to a larger one"
    )


def not_writable(path: Path, error: OSError) -> MemoryFullError:
    """The file system refuses for another reason than room."""
    return MemoryFullError(f"the live memory cannot be written at {path} ({error.strerror}); set live.path to another folder")


def no_address(capacity: int, error: Exception) -> MemoryFullError:
    """The process may not even name that many bytes: a limit on its address space or on the size of files."""
    return MemoryFullError(
        f"cannot set aside {mebibytes(capacity)} of addresses for the live memory ({error}): raise the limits of this "
        f"process (ulimit -v, ulimit -f), or lower live.most_users and live.most_items"
    )


def mebibytes(size: int) -> str:
    """A size for people; small ones finer, so that less than one is not shown as none."""
    if size < 1 << 20:
        return f"{-(-size >> 10):,} KiB"
    return f"{size / 2**20:,.1f} MiB" if size < 100 << 20 else f"{size / 2**20:,.0f} MiB"
