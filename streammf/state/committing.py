"""What a commit writes into its transaction, part by part.

Rules of this file:
1. A part may be called again, in a new transaction, and writes the same then.
2. What depends on the commit before, the transaction says: the number of this one, and that of the next rejected record.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import lmdb
import msgspec

from streammf.events.event import Rejected
from streammf.failpoints import reach
from streammf.state.changes import Changes
from streammf.state.forgotten import Erased, blanked, remember
from streammf.state.meta import Meta
from streammf.state.quarantine import kept_aside, replace, set_aside
from streammf.state.reading import META, read_meta


class Parts:
    """The parts of one commit. databases: of the store, by name."""

    def __init__(self, environment: lmdb.Environment, databases: Mapping[str, Any], changes: Changes) -> None:
        self._environment = environment
        self._databases = databases
        self._changes = changes

    def rows(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """Changed rows, joined with the blocks that are stored: those are read where they stand, without a copy."""
        with self._environment.begin(buffers=True) as before:
            for changed in self._changes.rows:
                database = self._databases[f"rows.{changed.layout.table.name}"]
                with before.cursor(database) as stored, transaction.cursor(database) as cursor:
                    for records in changed.records(stored.getmulti):
                        cursor.putmulti(records)
        reach("store.rows")

    def ids(self, transaction: "lmdb.Transaction[bytes]") -> None:
        """New ids, and those of rows that have another one now, or none."""
        for chunk in self._changes.ids:
            transaction.put(*chunk.record(), db=self._databases[f"ids.{chunk.axis.name.lower()}"])
        for renamed in self._changes.renamed:
            with transaction.cursor(self._databases[f"ids.{renamed.axis.name.lower()}"]) as cursor:
                cursor.putmulti(list(renamed.records(cursor)))
        reach("store.ids")

    def forgotten(self, transaction: "lmdb.Transaction[bytes]", erased: Erased) -> None:
        """What was forgotten, as hashes; quarantined records that name it are left blank."""
        with transaction.cursor(self._databases["forgotten"]) as cursor:
            remember(cursor, erased.entries)
        if erased.names:
            with transaction.cursor(self._databases["quarantine"]) as cursor:
                replace(cursor, blanked(kept_aside(cursor), erased.names))

    def head(
        self, transaction: "lmdb.Transaction[bytes]", meta: Meta, rejected: Sequence[Rejected], kept: int, order: bytes
    ) -> Meta:
        """Rejected records, the newest `kept` of which stay, the order of the records, and the meta record, as returned."""
        before = read_meta(transaction, self._databases["meta"])
        number, rejections = (before.commit, before.rejected) if before else (0, 0)
        with transaction.cursor(self._databases["quarantine"]) as cursor:
            rejections = set_aside(cursor, rejections, rejected, kept)
        written = msgspec.structs.replace(
            meta, counts=self._changes.counts, vacant=self._changes.vacant, rejected=rejections, commit=number + 1
        )
        transaction.put(META, msgspec.msgpack.encode(written), db=self._databases["meta"])
        if order:
            transaction.put(written.commit.to_bytes(8), order, db=self._databases["order"])
        reach("store.head")
        return written
