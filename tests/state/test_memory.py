"""The tables in memory: generic over their declaration, the same wherever they are, never beyond what is backed."""

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streammf.errors import MemoryFullError, NoModelError
from streammf.learning.arguments import Marks
from streammf.learning.tables import TABLES, Array, Axis, Dimensions, Table, Users, column, row_bytes
from streammf.state.memory import Memory, offsets
from streammf.state.options import Limits
from streammf.state.region import Region

#: All tables are in use.
DIMENSIONS = Dimensions(
    factors=5, history=3, recent=40, blend=1, neighbours=4, peers=3, stack=1, attributes=16, admission=1, expiry=1
)
SMALL = Limits(users=50_000, items=20_000)
KEYS = np.random.default_rng(5).integers(0, 2**63, 30_000).astype(np.uint64)


def with_columns(**added: Any) -> tuple[Table, ...]:
    """The declaration as it would be with these columns in the table of users."""
    fields = {**Users._field_defaults, **added}
    wider = namedtuple("Users", list(fields), defaults=list(fields.values()))  # type: ignore[misc]
    return tuple(Table(t.name, t.axis, wider) if t.name == "users" else t for t in TABLES)


def backed(folder: Path) -> int:
    """Bytes that the files of a folder take."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def used(memory: Memory) -> dict[str, list[Array]]:
    """A copy of every column's rows in use."""
    counts = memory.counts
    return {t.name: [np.copy(a[: counts[t.axis]]) for a in memory.arrays[t.name]] for t in memory.tables}


def assert_same(a: dict[str, list[Array]], b: dict[str, list[Array]]) -> None:
    assert a.keys() == b.keys()
    for name, columns in a.items():
        for left, right in zip(columns, b[name], strict=True):
            assert np.array_equal(left, right), name


def test_a_new_memory_has_the_rows_of_fixed_length_and_no_others() -> None:
    memory = Memory.anonymous(DIMENSIONS, 7)
    assert memory.counts.tolist() == [0, 0, 0, 0, 40, 1, 16]
    assert (memory.state.recent.item[:40] == -1).all()
    assert memory.state.whole.events.shape == (1,)


def test_every_column_has_its_declared_type_shape_and_first_value() -> None:
    memory = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    for axis in (Axis.USER, Axis.ITEM, Axis.SEEN, Axis.PARTITION):
        memory.add_rows(axis, KEYS[:300])
    for table in TABLES:
        rows = memory.most_rows(table.axis)
        for (name, declared), array in zip(table.items(), memory.arrays[table.name], strict=True):
            assert array.dtype == declared.dtype, name
            assert array.shape == declared.shape(rows, DIMENSIONS), name
            assert array.flags.c_contiguous
            assert array.flags.writeable
            values = array[: memory.counts[table.axis]]
            if declared.scale:
                assert 0.9 < values.std() / declared.scale < 1.1, name
            else:
                assert (values == declared.fill).all(), name


def test_first_values_follow_from_seed_and_id_and_not_from_row_or_batch() -> None:
    whole, pieces, backwards = (Memory.anonymous(DIMENSIONS, 7, limits=SMALL) for _ in range(3))
    whole.add_rows(Axis.ITEM, KEYS[:1000])
    for first in range(0, 1000, 7):
        pieces.add_rows(Axis.ITEM, KEYS[first : min(first + 7, 1000)])
    backwards.add_rows(Axis.ITEM, KEYS[:1000][::-1].copy())
    assert_same(used(whole), used(pieces))
    factors = [memory.state.items.factor[:1000] for memory in (whole, backwards)]
    assert np.array_equal(factors[0], factors[1][::-1])
    assert len(np.unique(factors[0])) == factors[0].size


def test_two_columns_of_one_row_begin_differently() -> None:
    memory = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    memory.add_rows(Axis.ITEM, KEYS[:10])
    assert not np.isin(memory.state.items.factor[:10], memory.state.implicit.factor[:10]).any()


def test_files_and_private_memory_hold_the_same(tmp_path: Path) -> None:
    files = Memory.create(tmp_path, DIMENSIONS, 7, limits=SMALL)
    private = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    for memory in (files, private):
        memory.add_rows(Axis.USER, KEYS[:5000])
        memory.add_rows(Axis.ITEM, KEYS[:700])
    assert_same(used(files), used(private))


def test_a_reader_sees_rows_that_come_after_it_and_cannot_write(tmp_path: Path) -> None:
    writer = Memory.create(tmp_path, DIMENSIONS, 7, limits=SMALL)
    reader = Memory.attach(tmp_path)
    state = reader.state
    writer.add_rows(Axis.USER, KEYS)
    writer.state.users.bias[len(KEYS) - 1] = 3.5
    assert state.users.bias[len(KEYS) - 1] == 3.5
    assert np.array_equal(state.users.bias[: len(KEYS)], writer.state.users.bias[: len(KEYS)])
    assert (reader.dimensions, reader.seed) == (DIMENSIONS, 7)
    for table in TABLES:
        for array in reader.arrays[table.name]:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_what_is_off_has_no_rows_and_no_files(tmp_path: Path) -> None:
    plain = DIMENSIONS._replace(blend=0, neighbours=1, peers=1, stack=0, attributes=0, admission=0, expiry=0)
    writer = Memory.create(tmp_path, plain, 7, limits=SMALL)
    writer.add_rows(Axis.ITEM, KEYS[:300])
    reader = Memory.attach(tmp_path)
    unused = {table.name for table in TABLES if table.needs}
    assert unused == {
        "neighbours", "audience", "solved_users", "solved_items", "grams", "blend",
        "rated_users", "rated_items", "stack",
        "described_users", "described_items", "item_values", "user_values", "describing",
        "newcomers", "expiry",
    }  # fmt: skip
    assert not unused & {path.stem for path in tmp_path.iterdir()}
    for memory in (writer, reader):
        assert not any(array.size for name in unused for array in getattr(memory.state, name))
        assert not unused & {table.name for table in memory.tables}


def test_a_column_is_one_line_of_declaration(tmp_path: Path) -> None:
    tables = with_columns(
        mood=column("f4", "a vector with random first values", "factors", scale=0.5),
        trust=column("f8", "a number", fill=0.25),
        places=column("i2", "a few numbers", 3, fill=-7),
    )
    writer = Memory.create(tmp_path, DIMENSIONS, 7, tables, SMALL)
    reader = Memory.attach(tmp_path, tables)
    plain = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    for first in range(0, 30_000, 10_000):
        writer.add_rows(Axis.USER, KEYS[first : first + 10_000])
        plain.add_rows(Axis.USER, KEYS[first : first + 10_000])
    users = reader.arrays["users"]
    assert users.mood.shape == (50_000, 5)
    assert 0.49 < users.mood[:30_000].std() < 0.51
    assert (users.trust[:30_000] == 0.25).all()
    assert (users.places[:30_000] == -7).all()
    assert_same({"users": used(writer)["users"][: len(Users._fields)]}, {"users": used(plain)["users"]})


def test_a_memory_of_other_columns_is_refused_by_readers(tmp_path: Path) -> None:
    Memory.create(tmp_path, DIMENSIONS, 7, with_columns(trust=column("f8", "a number")), SMALL)
    with pytest.raises(NoModelError, match="other tables"):
        Memory.attach(tmp_path)


def test_segments_do_not_overlap() -> None:
    limits = Limits(users=333, items=77)
    memory = Memory.anonymous(DIMENSIONS, 7, limits=limits)
    for table in TABLES:
        if table.axis == Axis.SEEN:
            continue  # as long as row numbers go; its columns follow the same rule
        arrays = memory.arrays[table.name]
        for number, array in enumerate(arrays):
            array[:] = number
        for number, array in enumerate(arrays):
            assert (array == number).all()
        sizes = offsets(table, memory.most_rows(table.axis), DIMENSIONS)
        assert sizes == sorted(sizes)
        assert sizes[-1] >= memory.most_rows(table.axis) * row_bytes(table, DIMENSIONS)


def test_reserved_rows_hold_constant_first_values_but_do_not_count() -> None:
    memory = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    memory.reserve(Axis.SEEN, 5_000)
    assert memory.counts[Axis.SEEN] == 0
    assert (memory.state.seen.items[:5_000] == -1).all()


def test_growth_never_changes_rows_in_use(tmp_path: Path) -> None:
    memory = Memory.create(tmp_path, DIMENSIONS, 7, limits=SMALL)
    memory.add_rows(Axis.USER, KEYS[:100])
    memory.state.users.partition[:100] = np.arange(100)
    before = used(memory)
    memory.reserve(Axis.USER, 40_000)
    assert_same(used(memory), before)


def test_memory_is_reserved_in_steps_and_not_for_the_whole_capacity(tmp_path: Path) -> None:
    memory = Memory.create(tmp_path, Dimensions(), 7)
    assert backed(tmp_path) < 2 << 20
    memory.add_rows(Axis.USER, KEYS)
    assert backed(tmp_path) < 2.5 * len(KEYS) * row_bytes(TABLES[0], Dimensions())


@pytest.mark.parametrize(
    ("axis", "reason"),
    [
        (Axis.USER, r"live\.most_users = 50,000"),
        (Axis.ITEM, r"live\.most_items = 20,000"),
        (Axis.RECENT, "40 possible"),
    ],
)
def test_more_rows_than_the_limit_are_refused_and_change_nothing(axis: Axis, reason: str) -> None:
    memory = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    before = memory.counts.tolist()
    with pytest.raises(MemoryFullError, match=reason):
        memory.add_rows(axis, np.zeros(50_001, np.uint64))
    assert memory.counts.tolist() == before


def test_a_full_file_system_refuses_rows_before_anything_is_touched(small_tmpfs: Path) -> None:
    memory = Memory.create(small_tmpfs, Dimensions(), 7)

    def fill() -> None:
        for first in range(0, 30_000, 100):
            memory.add_rows(Axis.USER, KEYS[first : first + 100])

    with pytest.raises(MemoryFullError, match=r"of 8\.0 MiB.*live\.path"):
        fill()
    known = int(memory.counts[Axis.USER])
    assert known * row_bytes(TABLES[0], Dimensions()) > 5 << 20, "the last free bytes are used too"
    memory.add_rows(Axis.USER, KEYS[:0])
    for array in memory.arrays["users"]:
        array[:known] = 1


def test_rows_that_would_be_backed_ahead_are_given_up_where_somebody_else_took_the_room(
    small_tmpfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Region, "room", lambda self: 1 << 40)
    memory = Memory.create(small_tmpfs, Dimensions(), 7)

    def fill() -> None:
        for rows in range(1, 100_000):
            memory.reserve(Axis.USER, rows)

    with pytest.raises(MemoryFullError):
        fill()
    monkeypatch.undo()
    assert os.statvfs(small_tmpfs).f_bavail * 4096 < 1 << 20


def test_a_folder_where_the_first_rows_find_no_room_is_an_error(small_tmpfs: Path) -> None:
    with pytest.raises(MemoryFullError, match=r"live\.path"):
        Memory.create(small_tmpfs, Dimensions(recent=1_000_000), 7)


def test_clearing_marks_forgets_what_was_marked() -> None:
    memory = Memory.anonymous(DIMENSIONS, 7, limits=SMALL)
    for mark in memory.marks:
        mark.rows[:3] = [5, 2, 11]
        mark.moved[[5, 2, 11]] = 1.5
        mark.used[0] = 3
    memory.clear_marks()
    for name, mark in zip(Marks._fields, memory.marks, strict=True):
        assert mark.used[0] == 0, name
        assert not mark.moved[:40].any(), name


def test_arrays_outlive_the_memory(tmp_path: Path) -> None:
    memory = Memory.create(tmp_path, DIMENSIONS, 7, limits=SMALL)
    state = memory.state
    memory.close()
    memory.close()
    assert state.recent.item[39] == -1
