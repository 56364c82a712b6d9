"""Who reads a store, and how far back: what the oldest reader sees, LMDB may not use again, and the file grows instead.

Rules of this file:
1. Dead readers are cleared with every commit (store.py). One that lives and stands still cannot be: it is named.
"""

from typing import NamedTuple

import lmdb


class Oldest(NamedTuple):
    """The reader that is farthest behind."""

    pid: int
    behind: int
    """Transactions that were written since the one that it reads."""


def oldest(environment: lmdb.Environment) -> Oldest | None:
    """Who is farthest behind; None: nobody reads."""
    last = environment.info()["last_txnid"]
    found = []
    for line in environment.readers().splitlines():
        pid, _, rest = line.strip().partition(" ")
        transaction = rest.split()[-1:]
        if pid.isdecimal() and transaction and transaction[0].isdecimal():  # not the heading, nor a slot that reads nothing
            found.append(Oldest(int(pid), max(last - int(transaction[0]), 0)))
    return max(found, key=lambda reader: reader.behind, default=None)
