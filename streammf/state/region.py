"""Growable mapped bytes: a file, or private memory, whose whole capacity has one address from the beginning.

Rules of this file:
1. The whole capacity is mapped once and backed by nothing. What grows is only what stands behind it: neither writer nor
   reader ever maps again, and an array made once is good for the life of the region.
2. Nothing is touched that `reserve` has not backed: a full file system is an exception here, and not a SIGBUS there.
3. A region is never unmapped under an array: its pages go when the last array over them goes.
"""

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

#: What a file system says when it has no room: full, over a quota, over a limit of the process or of its memory group.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM})


def pages(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // PAGE) * PAGE


class Region:
    """`capacity` bytes at one address. Made by `anonymous`, `create` or `attach`."""

    def __init__(self, mapped: mmap.mmap, path: Path | None, descriptor: int) -> None:
        self._mapped: mmap.mmap | None = mapped
        self._descriptor = descriptor
        self.path = path
        self.capacity = len(mapped)
        self._backed = 0

    @classmethod
    def anonymous(cls, capacity: int) -> Self:
        """Private memory; the kernel backs a page when it is first touched."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        try:
            mapped = mmap.mmap(-1, max(capacity, PAGE), flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise no_address(capacity, error) from error
        return cls(mapped, None, -1)

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
            return cls(mmap.mmap(descriptor, capacity), path, descriptor)
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
            return cls(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ), path, -1)
        finally:
            os.close(descriptor)

    def array(self, dtype: str, shape: tuple[int, ...], offset: int = 0) -> Array:
        """An array over the bytes from `offset` on; read-only where the region is attached."""
        assert self._mapped is not None, "the region is closed"
        flat = np.frombuffer(self._mapped, dtype, math.prod(shape), offset)
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
            for piece in range(start, stop, PIECE):
                os.posix_fallocate(self._descriptor, piece, min(PIECE, stop - piece))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise not_writable(self.path, error) from error
            raise no_room(self.path, stop - start, error) from error

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
