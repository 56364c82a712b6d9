"""What changed: which rows are copied, and how they are joined with the blocks that are stored."""

import numpy as np
import pytest

from streammf.errors import StoreError
from streammf.learning.tables import TABLES, Axis
from streammf.state.changes import AT_ONCE, Copier, Rows
from streammf.state.records import BlockLayout, columns_of
from tests.state.models import Model, change, mark, model

USERS = TABLES[0]


class Kept:
    """Blocks of one table, as a store keeps them."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []

    def read(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        self.asked += keys
        return [(key, self.blocks[key]) for key in keys if key in self.blocks]

    def commit(self, rows: Rows) -> list[int]:
        """Take in changed rows; returns the numbers of the blocks that were written."""
        written = []
        for records in rows.records(self.read):
            assert len(records) <= AT_ONCE
            for key, value in records:
                self.blocks[key] = bytes(value)
                written.append(int.from_bytes(key))
        return written


def kept_equals_memory(kept: Kept, made: Model, place: int) -> bool:
    table = TABLES[place]
    layout, count = BlockLayout.of(table, made.memory.dimensions), int(made.memory.counts[table.axis])
    assert len(kept.blocks) == layout.blocks(count)
    joined = b"".join(kept.blocks[key] for key in sorted(kept.blocks))
    return all(
        rows.tobytes() == getattr(made.memory.arrays[table.name], part.name)[:count].tobytes()
        for part, rows in columns_of(layout, joined, 0, count)
    )


def test_only_changed_and_new_rows_are_copied() -> None:
    made = model()
    change(made, 1, most_new=2000)
    copier = Copier(*made)
    copier.take()
    count, layout = int(made.memory.counts[Axis.USER]), BlockLayout.of(USERS, made.memory.dimensions)
    mark(made.memory, USERS, [3 * layout.rows, 1, 0])
    _, keys = made.users.register(["new"])
    made.memory.add_rows(Axis.USER, keys)
    users, *others = copier.take().rows
    assert users.numbers.tolist() == [0, 1, 3 * layout.rows, count]
    kept = [rows for rows in others if hasattr(made.memory.marks, rows.layout.table.name)]
    assert all(len(rows.numbers) == 0 for rows in kept if rows.layout.table.axis != Axis.USER)
    assert not made.memory.marks.users.moved[: count + 1].any()


def test_a_new_row_that_is_marked_too_is_copied_once() -> None:
    made = model()
    change(made, 1, most_new=2000)
    users = Copier(*made).take().rows[0]
    assert users.numbers.tolist() == list(range(int(made.memory.counts[Axis.USER])))


def test_what_a_copy_may_take_is_known_before_it_is_made() -> None:
    made = model()
    change(made, 1, most_new=2000)
    copier = Copier(*made)
    copier.take()
    assert copier.size() == 0
    mark(made.memory, USERS, range(100))
    assert copier.size() == sum(rows.nbytes for rows in copier.take().rows if rows.layout.table is USERS)


def test_partitions_and_the_whole_are_always_copied() -> None:
    made = model()
    change(made, 1)
    copier = Copier(*made)
    copier.take()
    again = {rows.layout.table.name: len(rows.numbers) for rows in copier.take().rows}
    assert (again["partitions"], again["whole"]) == (2, 1)


def test_what_was_taken_does_not_change_when_learning_goes_on() -> None:
    made = model()
    change(made, 1, most_new=500)
    changes = Copier(*made).take()
    before = [column.copy() for rows in changes.rows for column in rows.columns]
    change(made, 2, most_new=500)
    after = [column for rows in changes.rows for column in rows.columns]
    assert all(was.tobytes() == is_.tobytes() for was, is_ in zip(before, after, strict=True))


@pytest.mark.parametrize("place", range(len(TABLES)), ids=[table.name for table in TABLES])
def test_stored_blocks_follow_the_memory_through_any_changes(place: int) -> None:
    made = model()
    copier, kept = Copier(*made), Kept()
    for step in range(1, 8):
        change(made, step, most_new=3000 if step == 1 else 60)
        rows = copier.take().rows[place]
        written = kept.commit(rows)
        assert written == sorted({int(row) // rows.layout.rows for row in rows.numbers})
        assert kept_equals_memory(kept, made, place)
        copier.back()


def test_past_the_rows_in_use_a_block_is_zero() -> None:
    made = model()
    _, keys = made.users.register(["a", "b"])
    made.memory.add_rows(Axis.USER, keys)
    copier, kept = Copier(*made), Kept()
    users = copier.take().rows[0]
    kept.commit(users)
    block = np.frombuffer(kept.blocks[bytes(4)], np.uint8)
    for part in users.layout.parts:
        assert not block[part.start + 2 * part.row : part.start + part.size].any()


def test_a_copy_that_finds_no_room_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streammf.state.changes.ROOM", 10_000)
    made = model()
    copier, kept = Copier(*made), Kept()
    for step in range(1, 4):
        change(made, step, most_new=2000 if step == 1 else 20)
        kept.commit(copier.take().rows[0])
        copier.back()
    assert kept_equals_memory(kept, made, 0)


def test_a_stored_block_that_is_missing_is_noticed() -> None:
    made = model()
    change(made, 1, most_new=500)
    copier = Copier(*made)
    copier.take()
    mark(made.memory, USERS, [0])
    with pytest.raises(StoreError, match="a block of the table users is missing"):
        Kept().commit(copier.take().rows[0])


def test_a_block_whose_rows_all_changed_is_not_read() -> None:
    made = model()
    change(made, 1, most_new=500)
    copier, kept = Copier(*made), Kept()
    kept.commit(copier.take().rows[0])
    rows = BlockLayout.of(USERS, made.memory.dimensions).rows
    mark(made.memory, USERS, [*range(rows), 2 * rows])
    kept.asked.clear()
    kept.commit(copier.take().rows[0])
    assert [int.from_bytes(key) for key in kept.asked] == [2]
    assert kept_equals_memory(kept, made, 0)
