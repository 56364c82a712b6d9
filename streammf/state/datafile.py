"""The file that LMDB maps: looked at before it is mapped, because a mapped file that ends too early kills the process.

Rules of this file:
1. Nothing here hands the file to LMDB before `check` has passed it. What is not a whole LMDB 0.9 file is a StoreError.
2. A file is never begun over: an empty data file is damage, not a new store. `begin` makes one aside and renames it.
3. What the operating system refuses is said with the path and, where the disk is full, with how full.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
from lmdb.verify import VerifyError, verify

from streammf.errors import StoreError, StoreFullError

NAME: Final = "data.mdb"
#: LMDB 0.9. py-lmdb also carries 1.0, whose files 0.9 cannot read; an environment variable would choose between them.
LIBRARY: Final = 0

#: Of MDB_meta on 64-bit machines: magic and version; page size (md_pad of the first MDB_db); last page and transaction.
_MAGIC: Final = 0xBEEFC0DE
_META: Final = struct.Struct("<16x II 8x 8x I 92x QQ")

#: Below this a failed write is put down to a full disk.
_NEARLY_FULL: Final = 16 << 20
#: What it may say then, as LMDB's messages and the operating system's have it: LMDB calls a short write an I/O error.
_NO_ROOM: Final = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)))

_verify: Callable[[str, bool], list[str]] = verify


def begin(path: Path) -> None:
    """Make an empty data file, whole or not at all."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    lmdb.open(str(aside), subdir=False, lock=False, mode=0o600, lib_version=LIBRARY).close()
    sync(aside)
    aside.rename(path)
    sync(path.parent)


def check(path: Path) -> None:
    """Raise StoreError unless this is a whole LMDB 0.9 file."""
    with said("read", path), path.open("rb") as file:
        head = file.read(_META.size)
        magic, version, page, _, _ = _META.unpack(head.ljust(_META.size, b"\0"))
        if magic != _MAGIC:
            foreign = "an LMDB file of another version or machine" if struct.pack("<I", _MAGIC) in head else "not an LMDB file"
            raise StoreError(
                f"{path} is {foreign if head else 'empty'}: restore a snapshot, or set store.path to another folder"
            )
        if len(head) < _META.size:
            raise StoreError(f"{path} is cut off after {len(head):,} bytes: restore a snapshot, or replay the log")
        if version != 1 or page < 512 or page & (page - 1):
            raise StoreError(f"{path} was written by another version of LMDB (data version {version}, page size {page})")
        file.seek(page)
        newest = max(
            (_META.unpack(text) for text in (head, file.read(_META.size)) if len(text) == _META.size), key=_transaction
        )
        size = file.seek(0, os.SEEK_END)  # after the meta pages: an owner that commits meanwhile makes the file longer first
    if size < (newest[3] + 1) * page:
        _check_each_page(path, size)


def _transaction(meta: tuple[int, ...]) -> int:
    return meta[4]


def _check_each_page(path: Path, size: int) -> None:
    """A file may end before its last page only where that page is free. Seldom: it reads the whole file."""
    if found := problems(path):
        raise StoreError(f"{path} is cut off after {size:,} bytes ({found[0]}): restore a snapshot, or replay the log")


def problems(path: Path) -> list[str]:
    """What is wrong with the structure of the file: every page is read, none is mapped.

    Beside a writer only within a read transaction, which keeps the pages from being used again.
    """
    try:
        return _verify(str(path), False)
    except (VerifyError, OSError) as error:
        return [str(error)]


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def said(doing: str, path: Path) -> Iterator[None]:
    """Turn what LMDB and the operating system raise into a StoreError that names the cause."""
    try:
        yield
    except lmdb.MapFullError:
        raise  # the store makes room and tries again
    except (lmdb.Error, OSError) as error:
        raise _in_words(f"cannot {doing} {path}", path, error) from error


def _in_words(failed: str, path: Path, error: Exception) -> StoreError:
    """What was said, or that the file system is full."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    space = os.statvfs(existing)
    free = space.f_bavail * space.f_frsize
    if free < _NEARLY_FULL and any(text in str(error) for text in _NO_ROOM):
        return StoreFullError(f"{failed}: the file system is full, {free >> 10:,} KiB are left ({reason})")
    return StoreError(f"{failed}: {reason}")
