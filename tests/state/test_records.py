"""Blocks of rows and chunks of ids: how they are cut."""

import numpy as np
import pytest

from streammf.learning.tables import TABLES, Axis, Dimensions, Table, row_bytes
from streammf.state.records import PAGE, PAGE_HEADER, BlockLayout, IdChunk, id_chunks, rows_per_block, split
from tests.state.models import change, model


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


def test_ids_of_more_than_a_byte_of_bytes_together_come_apart_as_they_were() -> None:
    names = [b"x" * 200, b"", b"y" * 255, b"z"]
    assert split(b"".join(names), np.array([len(name) for name in names], np.uint8)) == names
