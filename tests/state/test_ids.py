"""The id table against a dictionary, in every size of batch, and at its borders."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.errors import MemoryFullError
from streammf.state.ids import FIRST_LEVEL, Ids, capacity_of, packed

SETTING = "live.most_users"
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


def anonymous(limit: int = 100_000) -> Ids:
    return Ids.anonymous(7, limit, SETTING)


@given(st.lists(st.lists(NAMES | st.sampled_from(["a", "b", "ab", "é"]), max_size=20), max_size=8))
@settings(max_examples=60, deadline=None)
def test_rows_are_given_in_order_of_first_appearance(batches: list[list[str]]) -> None:
    ids, oracle = anonymous(), dict[str, int]()
    for batch in batches:
        rows, keys = ids.register(batch)
        before = len(oracle)
        assert rows.tolist() == [oracle.setdefault(name, len(oracle)) for name in batch]
        assert len(keys) == len(oracle) - before
    assert ids.count == len(oracle)
    assert ids.rows(list(oracle)).tolist() == list(oracle.values())
    assert ids.names(np.arange(len(oracle))) == list(oracle)


@pytest.mark.parametrize("size", [1, 7, 1000, 20_000])
def test_the_split_into_batches_shows_nowhere(size: int) -> None:
    rng = np.random.default_rng(1)
    names = [f"user-{i}" for i in rng.integers(0, 9_000, 20_000)]
    whole, pieces = anonymous(), anonymous()
    rows, keys = whole.register(names)
    parts = [pieces.register(names[i : i + size]) for i in range(0, len(names), size)]
    assert np.array_equal(np.concatenate([r for r, _ in parts]), rows)
    assert np.array_equal(np.concatenate([k for _, k in parts]), keys)
    assert pieces.export(0, pieces.count)[0] == whole.export(0, whole.count)[0]


@pytest.mark.parametrize("name", ["x", "é", "日本語", "🙂" * 63, "z" * 255, " ", "\n", "\x01", "\x7f\x80"])
def test_an_id_is_any_text_of_1_to_255_bytes(name: str) -> None:
    ids = anonymous()
    ids.register(["before", name, "after", name])
    assert ids.rows([name, "after"]).tolist() == [1, 2]
    assert ids.names(np.array([1, 2, 1])) == [name, "after", name]


@pytest.mark.parametrize("name", ["", "z" * 256, "é" * 128, "a\0b", "\0", "\ud800"])
def test_what_is_no_id_is_refused_whole_and_is_not_found(name: str) -> None:
    ids = anonymous()
    ids.register(["a", "b"])
    with pytest.raises(ValueError, match="an id"):
        ids.register(["new", name])
    assert ids.count == 2
    assert ids.rows(["a", name, "b", "new"]).tolist() == [0, -1, 1, -1]


def test_no_ids_are_no_rows() -> None:
    ids = anonymous()
    assert ids.rows([]).tolist() == []
    assert [len(part) for part in ids.register([])] == [0, 0]
    assert ids.names(np.zeros(0, np.int32)) == []
    assert ids.rows(["nobody"]).tolist() == [-1]


def test_a_level_is_filled_to_its_capacity_before_the_next_is_begun() -> None:
    ids = anonymous()
    names = [str(i) for i in range(capacity_of(FIRST_LEVEL) + 1)]
    ids.register(names[:-1])
    ids.register(names[:-1] * 3)  # nothing new: the table stays as it is
    assert ids.level == FIRST_LEVEL
    ids.register(names)
    assert ids.level == FIRST_LEVEL + 1
    assert ids.rows(names).tolist() == list(range(len(names)))


def test_what_was_known_before_a_growth_is_still_found_in_the_old_level(tmp_path: Path) -> None:
    writer = Ids.create(tmp_path, "ids", 7, 1_000_000, SETTING)
    reader = Ids.attach(tmp_path, "ids", 7)
    names = [f"id-{i}" for i in range(50_000)]
    writer.register(names[:500])
    early = reader.until(writer.count, writer.level)
    writer.register(names)
    late = reader.until(writer.count, writer.level)
    assert writer.level > early.level
    assert early.rows(names).tolist() == [*range(500), *[-1] * 49_500]
    assert late.rows(names).tolist() == list(range(50_000))
    assert late.names(np.array([49_999])) == ["id-49999"]


def test_names_of_rows_that_are_not_there_is_an_error() -> None:
    ids = anonymous()
    ids.register(["a"])
    for row in (-1, 1):
        with pytest.raises(IndexError):
            ids.names(np.array([row]))


def test_what_is_exported_in_pieces_is_loaded_with_the_same_rows_and_hashes() -> None:
    ids, copy = anonymous(), anonymous()
    names = [f"é{i}" for i in range(3_000)]
    _, keys = ids.register(names)
    loaded = [copy.load(*ids.export(first, min(first + 700, 3_000))) for first in range(0, 3_000, 700)]
    assert np.array_equal(np.concatenate(loaded), keys)
    assert copy.rows(names).tolist() == list(range(3_000))
    assert ids.export(5, 5)[0] == b""


@pytest.mark.parametrize(
    ("heap", "lengths", "reason"),
    [
        (b"abab", [2, 2], "'ab' is there twice"),
        (b"abc", [1, 1], "3 bytes of ids, but the lengths say 2"),
        (b"a\0c", [3], "NUL"),
    ],
)
def test_a_damaged_export_is_refused(heap: bytes, lengths: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        anonymous().load(heap, np.array(lengths, np.uint8))


def test_more_ids_than_the_limit_leave_the_table_as_it_was() -> None:
    ids = anonymous(limit=3)
    ids.register(["a", "b"])
    for _ in range(3):
        with pytest.raises(MemoryFullError, match=r"4 ids .* live\.most_users = 3"):
            ids.register(["a", "c", "c", "d"])
    assert ids.count == 2
    assert ids.register(["a", "c", "b", "c"])[0].tolist() == [0, 2, 1, 2]


def test_a_full_file_system_leaves_the_table_as_it_was(small_tmpfs: Path) -> None:
    ids = Ids.create(small_tmpfs, "ids", 7, 10_000_000, SETTING)
    names = [f"{i:0100}" for i in range(200_000)]

    def fill() -> None:
        for first in range(0, len(names), 500):
            ids.register(names[first : first + 500])

    with pytest.raises(MemoryFullError, match=r"live\.path"):
        fill()
    known = ids.count
    assert known > 20_000
    assert ids.rows(names[: known + 1]).tolist() == [*range(known), -1]
    assert ids.names(np.array([known - 1])) == [names[known - 1]]


def test_hashes_depend_on_the_seed() -> None:
    a, b = Ids.anonymous(1, 10, SETTING), Ids.anonymous(2, 10, SETTING)
    assert a.register(["x"])[1] != b.register(["x"])[1]


def test_a_forgotten_id_is_unknown_and_its_row_goes_to_the_next_new_one() -> None:
    ids = anonymous()
    ids.register(["a", "b", "c", "d"])
    ids.forget(np.array([2, 0], np.int32))
    assert ids.rows(["a", "b", "c", "d"]).tolist() == [-1, 1, -1, 3]
    assert ids.names(np.arange(4)) == ["", "b", "", "d"]
    again = ids.register_texts(packed(["d", "much longer", "c", "e"]))
    assert again.rows.tolist() == [3, 0, 2, 4]
    assert again.new.tolist() == [0, 2, 4]
    assert ids.names(np.arange(5)) == ["much longer", "b", "c", "d", "e"]
    assert ids.count == 5


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(1, 3), st.booleans()), max_size=80))
@settings(max_examples=60, deadline=None)
def test_registering_and_forgetting_are_those_of_a_dictionary(steps: list[tuple[str, int, bool]]) -> None:
    ids, oracle, free = anonymous(), dict[str, int](), set[int]()
    for letter, length, forget in steps:
        name = letter * length
        if forget and name in oracle:
            row = oracle.pop(name)
            free.add(row)
            ids.forget(np.array([row], np.int32))
        elif not forget:
            if name not in oracle:
                oracle[name] = min(free) if free else len(oracle)
                free.discard(oracle[name])
            ids.register([name])
        assert ids.rows(list(oracle)).tolist() == list(oracle.values())
        assert ids.names(np.array([*oracle.values()], np.int32)) == list(oracle)
        assert ids.free.tolist() == sorted(free)


def test_of_a_forgotten_id_nothing_is_left_in_any_level_or_in_the_heap() -> None:
    ids = anonymous()
    drawn = np.random.default_rng(1)
    names = [drawn.bytes(16).hex() for _ in range(5_000)]
    ids.register(names[:100])
    ids.register(names)
    assert ids.level > FIRST_LEVEL
    before = ids._slots[: 2 << ids.level].copy()
    ids.forget(np.array([7], np.int32))
    assert names[7].encode() not in ids._heap[: ids._end].tobytes()
    left = ids._slots[: 2 << ids.level]
    assert set(before.tolist()) - set(left.tolist()) == {next(s for s in before.tolist() if s & 0xFFFFFFFF == 8)}
    assert ids.rows(names).tolist() == [row if row != 7 else -1 for row in range(5_000)]


def test_ids_that_come_and_go_need_no_more_room_than_those_that_are_there() -> None:
    ids = anonymous(limit=100)
    for n in range(50):
        ids.register([f"{n:04}-{i:04}" for i in range(100)])
        assert ids.count == 100
        ids.forget(np.arange(100, dtype=np.int32))
    assert ids._end == 900
    assert ids.level == FIRST_LEVEL


def test_rows_without_an_id_are_exported_and_loaded_as_such() -> None:
    ids, copy = anonymous(), anonymous()
    ids.register(["a", "b", "c", "d"])
    ids.forget(np.array([0, 2, 3], np.int32))
    heap, lengths = ids.export(0, 4)
    assert (heap, lengths.tolist()) == (b"b", [0, 1, 0, 0])
    copy.load(heap, lengths)
    assert (copy.count, copy.free.tolist()) == (4, [0, 2, 3])
    assert copy.register_texts(packed(["x", "b", "y", "z", "w"])).rows.tolist() == [0, 1, 2, 3, 4]


def test_a_reader_does_not_find_what_was_forgotten_whenever_it_began(tmp_path: Path) -> None:
    writer = Ids.create(tmp_path, "ids", 7, 1_000_000, SETTING)
    reader = Ids.attach(tmp_path, "ids", 7)
    names = [f"id-{i}" for i in range(2_000)]
    writer.register(names[:500])
    early = reader.until(writer.count, writer.level)
    writer.register(names)
    writer.forget(np.array([3], np.int32))
    for then, known in ((early, 500), (reader.until(writer.count, writer.level), 2_000)):
        assert then.rows(names[:known]).tolist() == [row if row != 3 else -1 for row in range(known)]
        assert then.names(np.array([3, 4], np.int32)) == ["", "id-4"]
