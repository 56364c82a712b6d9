"""The digest: equal exactly when the same was learned."""

from pathlib import Path

import pytest

from streammf.learning.tables import TABLES, Axis
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.digest import digest, digest_of
from streammf.state.meta import Meta
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, digest_after, meta, model, numbered, positions

STEPS = 24


def committed(folder: Path, every: int) -> tuple[Store, Meta]:
    """A store of STEPS changes, with a commit after `every` of them."""
    store = Store.open(StoreOptions(path=str(folder)))
    made, last = model(), meta()
    copier, done = Copier(*made), 0
    for step in range(1, STEPS + 1):
        change(made, step)
        if step % every == 0 or step == STEPS:
            last = commit(store, copier, last, step, done + 1)
            done = step
    return store, last


def test_commits_after_any_number_of_changes_give_one_digest(tmp_path: Path) -> None:
    digests, commits = set(), set()
    for every in (1, 2, 7, STEPS):
        store, last = committed(tmp_path / str(every), every)
        with store:
            digests.add(digest(store))
            commits.add(last.commit)
    assert digests == {digest_after(STEPS)}
    assert len(commits) == 4


def test_store_snapshot_and_memory_have_one_digest(tmp_path: Path) -> None:
    store, _ = committed(tmp_path / "store", 5)
    with store:
        snapshots.create(store, tmp_path / "snapshot")
        with snapshots.opened(tmp_path / "snapshot") as copy:
            for side in ("all", "items", "users"):
                assert digest(store, side) == digest(copy, side)
            assert digest(copy) == digest_after(STEPS)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_one_changed_bit_in_any_column_changes_the_digest(table: tuple[str, Axis, type]) -> None:
    made = model()
    change(made, 1)
    seen = {digest_of(*made)}
    for array in made.memory.arrays[table[0]]:
        last = array[: made.memory.counts[table[1]]].reshape(-1).view("u1")
        last[-1] ^= 1
        seen.add(digest_of(*made))
    assert len(seen) == 1 + len(made.memory.arrays[table[0]])


def test_rows_that_are_not_in_use_do_not_count() -> None:
    made = model()
    change(made, 1)
    before = digest_of(*made)
    made.memory.arrays["users"].bias[made.memory.counts[Axis.USER]] = 1
    assert digest_of(*made) == before


def test_ids_positions_and_quarantine_count() -> None:
    made = model()
    change(made, 1)
    several = {
        digest_of(*made),
        digest_of(*made, positions=positions(1)),
        digest_of(*made, positions=positions(2)),
        digest_of(*made, rejected=3),
        digest_of(*made, rejected=3, quarantined=numbered(2)),
        digest_of(*made, rejected=3, quarantined=numbered(5)[1:4]),
    }
    made.users.register(["one more"])
    made.memory.counts[Axis.USER] += 1
    assert len({*several, digest_of(*made)}) == 7


def test_another_log_of_the_same_name_with_the_same_events_has_the_same_digest() -> None:
    made = model()
    other = [position._replace(topic_id="another") for position in positions(1)]
    assert digest_of(*made, positions=positions(1)) == digest_of(*made, positions=other)


def test_each_side_sees_its_own_changes_only() -> None:
    made = model()
    change(made, 1)
    items, users = digest_of(*made, side="items"), digest_of(*made, side="users")
    made.memory.arrays["users"].bias[0] = -1
    assert digest_of(*made, side="items") == items
    assert digest_of(*made, side="users") != users
    made.memory.arrays["implicit"].factor[0] = -1
    assert digest_of(*made, side="items") != items
