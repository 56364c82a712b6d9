"""The kernels of the id table, on tables made by hand."""

import numpy as np
import pytest

from streammf.learning import draws
from streammf.learning.tables import Array
from streammf.state import slots
from tests.inners import compiled

hash_bytes = compiled(draws.hash_bytes)

SEED = 3
LEVEL = 4


def key_of(name: str) -> int:
    text = np.frombuffer(name.encode(), np.uint8)
    return int(hash_bytes(text, 0, len(text), SEED))


def slot_of(name: str, row: int) -> int:
    return (key_of(name) >> 32) << 32 | (row + 1)


def place_of(name: str, level: int) -> int:
    return (1 << level) + (key_of(name) >> (64 - level))


def table(names: list[str]) -> tuple[Array, Array]:
    """(places, heap) of ids in row order."""
    sizes = np.array([len(name.encode()) for name in names], np.int64)
    starts = np.cumsum(sizes) - sizes
    return np.append(starts << 16 | sizes << 8 | sizes, 0), np.frombuffer("".join(names).encode() + b"\0", np.uint8)


def look_up(level_slots: Array, names: list[str], count: int, asked: list[str]) -> list[int]:
    places, heap = table(names)
    text = np.frombuffer("\0".join(asked).encode(), np.uint8)
    begins, stops = np.empty((2, len(asked)), np.int64)
    assert slots.split(text, begins, stops) == len(asked)
    rows = np.empty(len(asked), np.int32)
    slots.look_up(level_slots, LEVEL, places, heap, count, SEED, text, begins, stops, rows)
    return [int(row) for row in rows]


@pytest.mark.parametrize("ids", [["a"], ["a", "b"], ["", "x", ""], ["é", "日本", "z" * 255]])
def test_split_finds_where_each_id_begins_and_ends(ids: list[str]) -> None:
    text = np.frombuffer("\0".join(ids).encode(), np.uint8)
    begins, stops = np.empty((2, len(ids)), np.int64)
    assert slots.split(text, begins, stops) == len(ids)
    ends = np.cumsum([len(i.encode()) + 1 for i in ids]) - 1
    assert stops.tolist() == ends.tolist()
    assert begins.tolist() == [0, *(ends[:-1] + 1).tolist()]


def test_split_counts_an_id_that_has_a_nul_as_two() -> None:
    assert slots.split(np.frombuffer(b"a\0b\0c", np.uint8), *np.empty((2, 2), np.int64)) == 3


def test_ids_of_the_same_tag_are_told_apart_by_their_bytes() -> None:
    names = ["left", "lift"]
    level_slots = np.zeros(2 << LEVEL, np.uint64)
    at = place_of("lift", LEVEL)
    after = (1 << LEVEL) + (at + 1) % (1 << LEVEL)
    level_slots[at] = slot_of("lift", 0)  # the tag of `lift`, the row of `left`
    level_slots[after] = slot_of("lift", 1)
    assert look_up(level_slots, names, 2, ["lift"]) == [1]


def test_a_row_that_a_reader_was_not_told_of_is_passed_over() -> None:
    names = ["left", "lift"]
    level_slots = np.zeros(2 << LEVEL, np.uint64)
    for row, name in enumerate(names):
        level_slots[place_of(name, LEVEL)] = slot_of(name, row)
    assert place_of("left", LEVEL) != place_of("lift", LEVEL)
    assert look_up(level_slots, names, 2, names) == [0, 1]
    assert look_up(level_slots, names, 1, names) == [0, -1]


def test_widening_puts_each_slot_where_a_search_begins_and_leaves_the_old_level() -> None:
    names = [f"n{i}" for i in range(12)]
    level_slots = np.zeros(4 << LEVEL, np.uint64)
    for row, name in enumerate(names):
        at = place_of(name, LEVEL)
        while level_slots[at]:
            at = (1 << LEVEL) + (at + 1) % (1 << LEVEL)
        level_slots[at] = slot_of(name, row)
    before = level_slots[: 2 << LEVEL].copy()
    slots.widen(level_slots, LEVEL)
    assert (level_slots[: 2 << LEVEL] == before).all()
    wide = level_slots[2 << LEVEL :].tolist()
    for row, name in enumerate(names):
        at = place_of(name, LEVEL + 1) - (2 << LEVEL)
        while wide[at] != slot_of(name, row):
            assert wide[at], f"{name} cannot be found"
            at = (at + 1) % len(wide)
    assert sum(slot != 0 for slot in wide) == len(names)


def test_gather_writes_the_ids_of_rows() -> None:
    places, heap = table(["a", "日本", "ccc"])
    text = np.zeros(20, np.uint8)
    end = slots.gather(places, heap, np.array([2, 1, 1], np.int32), 1, text)
    assert text[:end].tobytes().decode() == "ccc\0日本\0日本\0"
    end = slots.gather(places, heap, np.array([2, 0], np.int32), 0, text)
    assert text[:end].tobytes() == b"ccca"


def test_gather_stops_where_there_is_no_room() -> None:
    places, heap = table(["a", "ccc"])
    text = np.full(4, 7, np.uint8)
    assert slots.gather(places, heap, np.array([0, 1], np.int32), 1, text) == 2
    assert text.tolist() == [ord("a"), 0, 7, 7]


@pytest.mark.parametrize("gone", range(12))
def test_what_stood_behind_a_forgotten_id_is_still_found(gone: int) -> None:
    names = [f"n{i}" for i in range(12)]
    level_slots = np.zeros(2 << LEVEL, np.uint64)
    for row, name in enumerate(names):
        at = place_of(name, LEVEL)
        while level_slots[at]:
            at = (1 << LEVEL) + (at + 1) % (1 << LEVEL)
        level_slots[at] = slot_of(name, row)
    places, heap = table(names)
    heap = heap.copy()
    slots.forget(level_slots, LEVEL, LEVEL, places, heap, SEED, np.array([gone, gone], np.int32))
    assert look_up(level_slots, names, 12, names) == [row if row != gone else -1 for row in range(12)]
    assert level_slots[0] == 2, "once, and ended"
    assert names[gone].encode() + b"n" not in heap.tobytes() + b"n"
    assert places[gone] & 255 == 0
