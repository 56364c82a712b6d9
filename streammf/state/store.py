"""The store: the model made durable, with the positions of the log that it was learned from.

Rules of this file:
1. Rows, ids, positions, quarantined records and the meta record become durable together or not at all: one LMDB
   transaction a commit, written by a list of writers. LMDB syncs it; nothing here turns that off.
2. One owner writes. Each opening for writing raises the owner epoch, and a commit under an older one is refused.
3. A full map is made larger and the transaction written again: so a writer must bear being called twice.
   Readers of this process are waited for, and only then: a copy of the store stops no commit.
4. A store is used in the process that opened it: LMDB would work in a forked child, and break.
5. A file that somebody cut off is looked for before it is touched. Cut within a transaction, it still kills the process.
"""

import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import lmdb
import msgspec

from streammf.errors import StoreBusyError, StoreError
from streammf.events.event import Rejected
from streammf.failpoints import reach
from streammf.learning.tables import TABLES, Array, Axis, Table
from streammf.state import datafile, readers
from streammf.state.accepted import add_accepted
from streammf.state.changes import Changes
from streammf.state.committing import Parts
from streammf.state.datafile import said
from streammf.state.filesystem import require_local
from streammf.state.forgotten import KEY, KEY_BYTES, NONE, Erased
from streammf.state.meta import FORMAT, Meta
from streammf.state.options import StoreOptions
from streammf.state.owner import Owner
from streammf.state.quarantine import SENT, drop
from streammf.state.reading import IDENTITY, Reading
from streammf.state.turns import Turns

Writer = Callable[["lmdb.Transaction[bytes]"], None]
"""Adds its part to a transaction. May be called again, in a new transaction."""

_FORMAT: Final = b"format"
_EPOCH: Final = b"owner epoch"
#: Stands in a snapshot and never in a store that is written.
MANIFEST: Final = "manifest.json"
_MOST_DATABASES: Final = 64


class Store:
    """An open store. Made by `open` and `open_readonly`; one of them per folder and process."""

    key: bytes = b""
    """What the ids of what was forgotten are hashed with; empty in a store of an older release."""

    def __init__(self, environment: lmdb.Environment, path: Path, quarantined: int, owner: Owner | None) -> None:
        self.path = path
        self.epoch = 0
        """The owner epoch of this opening; 0: read-only."""
        self._environment = environment
        self._quarantined = quarantined
        self._owner = owner
        self._databases: dict[str, Any] = {}
        self._process = os.getpid()
        status = (path / datafile.NAME).stat()
        self._inode, self._size = status.st_ino, status.st_size
        self._one_at_a_time = threading.Lock()
        """For those who write."""
        self._turns = Turns()

    @classmethod
    def open(cls, options: StoreOptions, tables: Sequence[Table] = TABLES) -> Self:
        """Own the store, made here if there is none. StoreBusyError where another process owns it."""
        path = Path(options.path)
        if (path / MANIFEST).exists():
            raise StoreError(f"{path} is a snapshot: restore it into a store, and leave it as it is")
        with said("make", path):
            path.mkdir(parents=True, exist_ok=True)
            require_local(path, allow_network=options.allow_network)
            owner = Owner(path)
        try:
            with said("make", path):
                if not (path / datafile.NAME).exists():
                    datafile.begin(path / datafile.NAME)
            room = 2 * (path / datafile.NAME).stat().st_size  # so that an opening always fits
            environment = _environment(path, max(int(options.map_gib * 2**30), room), readonly=False)
        except BaseException:
            owner.release()
            raise
        store = cls(environment, path, options.quarantined, owner)
        with store._closed_on_error():
            store._claim(tables)
        return store

    @classmethod
    def open_readonly(cls, path: Path, tables: Sequence[Table] = TABLES, *, allow_network: bool = False) -> Self:
        """Read a store, while its owner writes or not, or a snapshot."""
        if not (path / datafile.NAME).exists():
            raise StoreError(f"there is no store at {path}")
        if not (path / MANIFEST).exists():
            require_local(path, allow_network=allow_network)
        store = cls(_environment(path, 0, readonly=True), path, 0, None)
        with store._closed_on_error():
            store._look(tables)
        return store

    def write(self, writers: Sequence[Writer]) -> None:
        """Run all writers in one transaction, from any thread: their work is durable once this returns.

        Where it raises, nothing of it is there.
        """
        self._require_own_process()
        self._require_same_file()
        with self._one_at_a_time, said("write", self.path):
            while True:
                try:
                    with self._environment.begin(write=True) as transaction:
                        self._require_ownership(transaction)
                        for writer in writers:
                            writer(transaction)
                    break
                except lmdb.MapFullError:
                    with self._turns.alone():
                        self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            self._require_same_file()
            self._environment.reader_check()  # a reader that was killed would pin every page freed since

    def commit(
        self,
        changes: Changes,
        meta: Meta,
        rejected: Sequence[Rejected] = (),
        order: bytes = b"",
        accepted: Array | None = None,
        window: int = 0,
        erased: Erased = NONE,
    ) -> Meta:
        """Make all of it durable; return the meta record as written, with what only the store knows filled in.

        order: runs of records, as the trainer notes them; see trainer/order.py.
        accepted: uint64, the hashes of the event ids that were accepted since the last commit; the newest `window` are kept.
        erased: what was forgotten since the last commit; `rejected` does not name it.
        """
        parts = Parts(self._environment, self._databases, changes)
        meta = written = msgspec.structs.replace(meta, owner_epoch=self.epoch)

        def head(transaction: "lmdb.Transaction[bytes]") -> None:
            nonlocal written
            if accepted is not None:
                with transaction.cursor(self._databases["window"]) as cursor:
                    add_accepted(cursor, accepted, window)
            parts.forgotten(transaction, erased)
            written = parts.head(transaction, meta, rejected, self._quarantined, order)

        self.write([parts.rows, parts.ids, head])
        reach("store.committed")
        return written

    def adopt(self, key: bytes) -> None:
        """Hash what is forgotten with the key of another store, whose entries are to be compared. Only where there are none."""
        self.write([lambda transaction: _put(transaction, KEY, key, self._databases["meta"])])
        self.key = key

    def drop(self, numbers: Collection[int]) -> int:
        """Remove these records from the quarantine; how many of them were there."""
        dropped = 0

        def aside(transaction: "lmdb.Transaction[bytes]") -> None:
            nonlocal dropped
            with transaction.cursor(self._databases["quarantine"]) as cursor:
                dropped = drop(cursor, numbers)

        self.write([aside])
        return dropped

    def sent(self, following: int) -> None:
        """All records aside before number `following` were sent on as dead letters."""
        self.write([lambda transaction: _put_number(transaction, SENT, following, self._databases["meta"])])

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """One moment of the store. Commits go on meanwhile, into new pages: the file grows."""
        self._require_own_process()
        self._require_same_file()
        with self._reading(), said("read", self.path), self._transaction() as transaction:
            yield Reading(transaction, self._databases, self.path)

    def meta(self) -> Meta | None:
        """The meta record of the last commit; None where there was none."""
        with self.read() as reading:
            return reading.meta()

    def copy(self, folder: Path) -> None:
        """Write a compacting copy of the last commit into an empty folder; not synced. Commits go on meanwhile."""
        self._require_own_process()
        self._require_same_file()
        with self._reading(), said("copy to", folder):
            self._transaction().abort()  # the copy's own cannot make up for a map that became larger
            self._environment.copy(str(folder), compact=True)

    def oldest_reader(self) -> readers.Oldest | None:
        """Who reads what was committed longest ago, of all processes; None: nobody reads."""
        with self._turns.together():
            return readers.oldest(self._environment)

    def close(self) -> None:
        """Let go of the store, once a commit that is under way has ended. Idempotent; no other call may follow."""
        if os.getpid() != self._process:
            return
        with self._one_at_a_time, self._turns.alone():
            self._environment.close()
        if self._owner:
            self._owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _claim(self, tables: Sequence[Table]) -> None:
        """Take the next owner epoch, and make the sub-databases that are not there."""
        with said("open", self.path), self._environment.begin(write=True) as transaction:
            fresh = transaction.stat()["entries"] == 0
            for name in database_names(tables):
                self._open_database(name, transaction, create=fresh or name != "meta")
            heads = self._databases["meta"]
            if not fresh:
                self._require_format(transaction)
            self.epoch = int.from_bytes(transaction.get(_EPOCH, b"", db=heads)) + 1
            _put_number(transaction, _FORMAT, FORMAT, heads)
            _put_number(transaction, _EPOCH, self.epoch, heads)
            transaction.put(IDENTITY, uuid.uuid4().hex.encode(), db=heads, overwrite=False)
            transaction.put(KEY, os.urandom(KEY_BYTES), db=heads, overwrite=False)
            self.key = transaction.get(KEY, b"", db=heads)
        reach("store.claimed")
        self._environment.reader_check()

    def _look(self, tables: Sequence[Table]) -> None:
        """Open the sub-databases that are there; other columns than this release's are found where they are read."""
        with said("read", self.path):
            there = {name.decode() for name in self._environment.dbs()}
            for name in database_names(tables):
                if name in there or name == "meta":
                    self._open_database(name, None, create=False)
            with self._transaction() as transaction:
                self._require_format(transaction)
                self.key = transaction.get(KEY, b"", db=self._databases["meta"])

    def _open_database(self, name: str, transaction: "lmdb.Transaction[bytes] | None", *, create: bool) -> None:
        """A handle that a read transaction opens ends with it: reading, LMDB is to open it by itself (None)."""
        try:
            self._databases[name] = self._environment.open_db(name.encode(), transaction, create=create)
        except (lmdb.NotFoundError, lmdb.IncompatibleError) as error:
            raise self._foreign() from error

    def _require_format(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """Raise StoreError where this is not a store, or one of another format."""
        number = transaction.get(_FORMAT, db=self._databases["meta"])
        if number is None:
            raise self._foreign()
        if int.from_bytes(number) != FORMAT:
            raise StoreError(
                f"{self.path} is a store of format {int.from_bytes(number)}, this release reads format {FORMAT}: "
                "use the release that wrote it, or replay the log into a new store"
            )

    def _foreign(self) -> StoreError:
        return StoreError(f"{self.path} holds an LMDB database, but not a StreamMF store: set store.path to another folder")

    def _require_ownership(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """Raise StoreBusyError where the store was opened for writing after us."""
        epoch = int.from_bytes(transaction.get(_EPOCH, b"", db=self._databases["meta"]))
        if epoch != self.epoch:
            raise StoreBusyError(
                f"the store {self.path} was taken over (owner epoch {epoch}, ours is {self.epoch}): nothing was written"
            )

    def _require_same_file(self) -> None:
        """Raise StoreError where somebody removed, replaced or cut the data file: what is written to it now, nobody would find,
        and what is read of it now kills the process.
        """
        known = self._size  # before the look: another thread may look later, at a file that has grown
        with said("use", self.path):
            status = (self.path / datafile.NAME).stat()
        if status.st_ino != self._inode:
            if self._owner is None:
                return  # restored over: what is mapped is the old file, whole
            raise StoreError(f"the data file of {self.path} was replaced while it was written: nothing is durable any more")
        if status.st_size < known:
            raise StoreError(
                f"the data file of {self.path} was cut off from {known:,} to {status.st_size:,} bytes while it was open: "
                "restore a snapshot, or replay the log into a new store"
            )
        self._size = max(self._size, status.st_size)
        if self._owner is None:
            datafile.check(self.path / datafile.NAME)  # others write it: what it must hold, its newest meta page says

    def _require_own_process(self) -> None:
        """Raise StoreError in a forked child."""
        if os.getpid() != self._process:
            raise StoreError(f"the store {self.path} was opened by process {self._process}: open it again after a fork")

    def _reading(self) -> AbstractContextManager[None]:
        """An owner's map is moved by itself alone; other processes' must be moved after it, which nobody may see."""
        return self._turns.together() if self._owner else self._turns.alone()

    def _transaction(self) -> "lmdb.Transaction[bytes]":
        """A read transaction, however much larger another process has made the map meanwhile."""
        try:
            return self._environment.begin()
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return self._environment.begin()


def database_names(tables: Sequence[Table]) -> list[str]:
    """The sub-databases of a store."""
    ids = [f"ids.{axis.name.lower()}" for axis in (Axis.USER, Axis.ITEM)]
    return ["meta", "quarantine", "order", "window", "forgotten", *ids, *(f"rows.{table.name}" for table in tables)]


def _put_number(transaction: "lmdb.Transaction[bytes]", name: bytes, number: int, database: Any) -> None:  # noqa: ANN401
    _put(transaction, name, number.to_bytes(8), database)


def _put(transaction: "lmdb.Transaction[bytes]", name: bytes, value: bytes, database: Any) -> None:  # noqa: ANN401
    transaction.put(name, value, db=database)


def _environment(path: Path, map_bytes: int, *, readonly: bool) -> lmdb.Environment:
    """LMDB over a file that was looked at first."""
    datafile.check(path / datafile.NAME)
    with said("open", path):
        return lmdb.open(
            str(path),
            map_size=map_bytes,
            readonly=readonly,
            lock=not (path / MANIFEST).exists(),  # a snapshot never changes, and may stand where nobody may write
            create=False,
            mode=0o600,
            max_dbs=_MOST_DATABASES,
            lib_version=datafile.LIBRARY,
        )
