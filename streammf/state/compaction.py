"""A store written anew, so that its file holds what it stores and no more.

Rules of this file:
1. LMDB leaves what was removed where it stood until the page is used again, and a copy of pages copies that too. So here every
   record is put into a new file, one after the other.
2. It appears whole or not at all: written aside, made durable, and renamed over the old one. Who reads the old one reads on.
"""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb

from streammf.errors import StoreError
from streammf.failpoints import reach
from streammf.state import datafile
from streammf.state.datafile import said, sync
from streammf.state.filesystem import require_local
from streammf.state.owner import Owner
from streammf.state.snapshots import RESTORED
from streammf.state.store import MANIFEST

#: Where, in a store's folder, the new file is written.
ASIDE: Final = "compacted.new"
#: Bytes put in one transaction.
AT_ONCE: Final = 64 << 20
_MOST_DATABASES: Final = 64


class Compacted(NamedTuple):
    """Bytes of the data file."""

    before: int
    after: int


def compact(folder: Path, *, allow_network: bool = False) -> Compacted:
    """Write the store in `folder` anew. StoreBusyError where somebody owns it, StoreError where it cannot be done."""
    if (folder / MANIFEST).exists():
        raise StoreError(f"{folder} is a snapshot, which is never written to: compact the store, and make another one")
    data = folder / datafile.NAME
    if not data.exists():
        raise StoreError(f"there is no store at {folder}")
    aside = folder / ASIDE
    with said("compact", folder):
        require_local(folder, allow_network=allow_network)
        owner = Owner(folder)
        try:
            for left in (aside, folder / RESTORED):  # of what was killed
                shutil.rmtree(left, ignore_errors=True)
            aside.mkdir()
            before = data.stat().st_size
            _rewrite(folder, aside)
            sync(aside / datafile.NAME)
            reach("compact.synced")
            (folder / "lock.mdb").unlink(missing_ok=True)  # its readers read the file that is replaced
            (aside / datafile.NAME).rename(data)
            reach("compact.renamed")
            sync(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            owner.release()
    return Compacted(before, data.stat().st_size)


def _rewrite(folder: Path, aside: Path) -> None:
    """Put every record of every database into a new file."""
    datafile.check(folder / datafile.NAME)
    datafile.begin(aside / datafile.NAME)
    room = 2 * (folder / datafile.NAME).stat().st_size + (64 << 20)
    with closing(_open(folder, 0, readonly=True)) as old, closing(_open(aside, room, readonly=False)) as new:
        with old.begin() as transaction:
            names = [name for name, _ in transaction.cursor()]
        for name in names:
            _copy(old, new, old.open_db(name, create=False), new.open_db(name))


def _copy(old: lmdb.Environment, new: lmdb.Environment, source: Any, target: Any) -> None:  # noqa: ANN401 - lmdb's handles
    """Put every record of a database into another, in order."""
    with old.begin(db=source) as reading, reading.cursor() as cursor:
        more = cursor.first()
        while more:
            size = 0
            with new.begin(write=True, db=target) as writing:
                while more and size < AT_ONCE:
                    key, value = cursor.item()
                    writing.put(key, value, append=True)
                    size += len(key) + len(value)
                    more = cursor.next()


def _open(folder: Path, map_bytes: int, *, readonly: bool) -> lmdb.Environment:
    return lmdb.open(
        str(folder), map_size=map_bytes, readonly=readonly, create=False, mode=0o600, max_dbs=_MOST_DATABASES,
        lib_version=datafile.LIBRARY,
    )  # fmt: skip
