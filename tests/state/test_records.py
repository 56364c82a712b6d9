"""Blocks of rows: how they are cut, and what is copied."""

import numpy as np
import pytest

from streammf.learning.tables import TABLES, Axis, Dimensions, Table, row_bytes
from streammf.state.records import (
    PAGE,
    PAGE_HEADER,
    BlockLayout,
    Copier,
    IdChunk,
    columns_of,
    id_chunks,
    rows_per_block,
)
from tests.state.models import change, mark, model

USERS = TABLES[0]


@pytest.mark.parametrize("dimensions", [Dimensions(), Dimensions(64, 64), Dimensions(8, 0), Dimensions(128, 32)])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_block_fills_its_pages_well_and_its_length_is_divisible_by_four(table: Table, dimensions: Dimensions) -> None:
    layout = BlockLayout.of(table, dimensions)
    pages = -(-(layout.size + PAGE_HEADER) // PAGE)
    assert layout.size % 4 == 0
    assert layout.size >= 0.75 * PAGE * pages
    assert layout.rows * row_bytes(table, dimensions) <= layout.size


def test_rows_that_are_longer_than_any_block_have_blocks_of_their_own() -> None:
    assert rows_per_block(100_000) == 1
    assert rows_per_block(4) == 1020


def test_only_blocks_with_changed_or_new_rows_are_copied() -> None:
    made = model()
    change(made, 1, most_new=2000)
    copier = Copier(*made)
    copier.take()
    count, layout = int(made.memory.counts[Axis.USER]), BlockLayout.of(USERS, made.memory.dimensions)
    mark(made.memory, USERS, [0, 1, 3 * layout.rows])
    _, keys = made.users.register(["new"])
    made.memory.add_rows(Axis.USER, keys)
    users, *others = copier.take().blocks
    assert users.numbers.tolist() == [0, 3, count // layout.rows]
    assert all(len(blocks.numbers) == 0 for blocks in others if hasattr(made.memory.marks, blocks.layout.table.name))
    assert not made.memory.marks.users.moved[: count + 1].any()


def test_what_a_copy_will_take_is_known_before_it_is_made() -> None:
    made = model()
    change(made, 1, most_new=2000)
    copier = Copier(*made)
    copier.take()
    assert copier.size() == 0
    count, layout = int(made.memory.counts[Axis.USER]), BlockLayout.of(USERS, made.memory.dimensions)
    chosen = np.random.default_rng(1).choice(count, count // layout.rows, replace=False)
    mark(made.memory, USERS, chosen)
    expected = copier.size()
    copied = sum(blocks.content.nbytes for blocks in copier.take().blocks if blocks.layout.table is USERS)
    assert expected == pytest.approx(copied, rel=0.1)


def test_partitions_and_the_whole_are_always_copied() -> None:
    made = model()
    change(made, 1)
    copier = Copier(*made)
    copier.take()
    again = {blocks.layout.table.name: len(blocks.numbers) for blocks in copier.take().blocks}
    assert again["partitions"] == again["whole"] == 1


def test_what_was_taken_does_not_change_when_learning_goes_on() -> None:
    made = model()
    change(made, 1, most_new=500)
    changes = Copier(*made).take()
    before = [blocks.content.copy() for blocks in changes.blocks]
    change(made, 2, most_new=500)
    for blocks, content in zip(changes.blocks, before, strict=True):
        assert np.array_equal(blocks.content, content)


def test_past_the_rows_in_use_a_block_is_zero() -> None:
    made = model()
    _, keys = made.users.register(["a", "b"])
    made.memory.add_rows(Axis.USER, keys)
    users = Copier(*made).take().blocks[0]
    for part in users.layout.parts:
        column = users.content[0, part.start : part.start + part.size]
        assert not column[2 * part.row :].any()


def test_blocks_come_apart_into_the_columns_they_were_made_of() -> None:
    made = model()
    change(made, 1, most_new=3000)
    for blocks in Copier(*made).take().blocks:
        layout, count = blocks.layout, int(made.memory.counts[blocks.layout.table.axis])
        joined = b"".join(value for _, value in blocks.records())
        for part, rows in columns_of(layout, joined, 0, count):
            array = getattr(made.memory.arrays[layout.table.name], part.name)
            assert rows.tobytes() == array[:count].tobytes()


def test_an_id_chunk_survives_its_record() -> None:
    made = model()
    change(made, 1, most_new=3000)
    chunks = list(id_chunks(Axis.USER, made.users, 5, made.users.count))
    for chunk in chunks:
        key, value = chunk.record()
        assert len(key) % 4 == len(value) % 4 == 0
        assert IdChunk.read(Axis.USER, key, value) == chunk
    assert b"".join(chunk.heap for chunk in chunks).decode() == "".join(made.users.names(np.arange(5, made.users.count)))


def test_a_damaged_id_chunk_is_noticed() -> None:
    key, value = IdChunk(Axis.USER, 0, b"\1\2", b"abb").record()
    with pytest.raises(ValueError, match="damaged"):
        IdChunk.read(Axis.USER, key, value[:-4])
    with pytest.raises(ValueError, match="damaged"):
        IdChunk.read(Axis.USER, key, value[:8] + b"\2" + value[9:])
