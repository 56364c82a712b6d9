"""Models without learning, for tests of the store: memory and ids that change at random, but the same way for one seed.

Run as a program it changes and commits until it is killed, and says so after each commit.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streammf.events.event import Rejected
from streammf.events.source import Partition
from streammf.learning.compiling import ready
from streammf.learning.tables import TABLES, Array, Axis, Dimensions, Table, in_use
from streammf.state.changes import Copier
from streammf.state.digest import digest_of
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import Meta, Position, first_meta
from streammf.state.options import Limits, StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store

DIMENSIONS = Dimensions(
    factors=4, history=3, recent=50, blend=1, neighbours=5, peers=3, stack=1, attributes=6, admission=1, expiry=1
)
#: What a model of rankings can have.
RANKING = DIMENSIONS._replace(stack=0)
LIMITS = Limits(users=100_000, items=100_000)


class Model(NamedTuple):
    """What a store keeps."""

    memory: Memory
    users: Ids
    items: Ids


def model(tables: Sequence[Table] = TABLES, dimensions: Dimensions = DIMENSIONS) -> Model:
    """One that has learned nothing."""
    ready()
    return Model(
        Memory.anonymous(dimensions, 1, tables, LIMITS),
        Ids.anonymous(1, LIMITS.users, "live.most_users"),
        Ids.anonymous(1, LIMITS.items, "live.most_items"),
    )


def meta(tables: Sequence[Table] = TABLES, dimensions: Dimensions = DIMENSIONS) -> Meta:
    """The meta record of such a model."""
    return first_meta("ranking", 1, dimensions, {"factors": dimensions.factors}, in_use(tables, dimensions))


def change(made: Model, step: int, most_new: int = 40) -> None:
    """Change number `step`: new rows, and new values in some of the old ones, all of it a function of `step`."""
    random = np.random.default_rng(step)
    memory = made.memory
    for axis, ids in ((Axis.USER, made.users), (Axis.ITEM, made.items)):
        new = random.integers(0, most_new)
        _, keys = ids.register([f"{axis.name} {step} {n} é" for n in range(new)])
        memory.add_rows(axis, keys)
    grown = int(memory.counts[Axis.SEEN] + random.integers(0, most_new))
    memory.reserve(Axis.SEEN, grown)
    memory.counts[Axis.SEEN] = grown
    if not memory.counts[Axis.PARTITION]:
        memory.add_rows(Axis.PARTITION, np.zeros(2, np.uint64))
    for table in memory.tables:
        count = int(memory.counts[table.axis])
        rows = np.unique(random.integers(0, max(count, 1), random.integers(0, most_new) if count else 0))
        for array in memory.arrays[table.name]:
            array[rows] = random.integers(0, 2**31, array[rows].shape)
        mark(memory, table, rows)


def mark(memory: Memory, table: Table, rows: Array | Sequence[int]) -> None:
    """What a kernel does for the rows that it changes."""
    marks = getattr(memory.marks, table.name, None)
    if marks is None:
        return
    for row in rows:
        if marks.moved[row] == 0:
            marks.rows[marks.used[0]] = row
            marks.used[0] += 1
        marks.moved[row] += 1


def positions(step: int) -> list[Position]:
    """The positions after change number `step`."""
    return [Position("events", 0, 10 * step, "an id"), Position("events", 1, 7 * step, "an id")]


def rejected(step: int) -> list[Rejected]:
    """What was rejected in change number `step`."""
    one = Rejected(Partition("events", step % 2), step, "malformed", "no JSON", b"{\xff", None if step % 3 else b"k", step)
    return [one] * (step % 3)


def numbered(count: int) -> list[tuple[int, Rejected]]:
    """(number, record) of everything rejected in the changes 1..count."""
    return list(enumerate(record for step in range(1, count + 1) for record in rejected(step)))


def digest_after(steps: int, dimensions: Dimensions = DIMENSIONS) -> str:
    """The digest of a model that never saw a store."""
    made = model(dimensions=dimensions)
    for step in range(1, steps + 1):
        change(made, step)
    aside = numbered(steps)
    return digest_of(*made, positions=positions(steps) if steps else [], rejected=len(aside), quarantined=aside)


def commit(store: Store, copier: Copier, before: Meta, step: int, first: int | None = None) -> Meta:
    """Commit the changes first..step (default: this one alone)."""
    records = [record for n in range(step if first is None else first, step + 1) for record in rejected(n)]
    after = Meta(
        **{
            **{name: getattr(before, name) for name in Meta.__struct_fields__},
            "positions": positions(step),
            "events": step,
        }
    )
    return store.commit(copier.take(), after, records)


def run(folder: Path) -> None:
    """Recover, then change and commit until killed. After each commit its number goes to stdout."""
    with Store.open(StoreOptions(path=str(folder))) as store:
        made = model()
        last = recover(store, *made) or meta()
        copier = Copier(*made, since=last.counts)
        print(f"recovered {last.events}", flush=True)  # noqa: T201 - the test reads it
        while True:
            step = last.events + 1
            change(made, step)
            print(f"committing {step}", flush=True)  # noqa: T201 - the test reads it
            last = commit(store, copier, last, step)
            print(f"committed {step}", flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    run(Path(sys.argv[1]))
