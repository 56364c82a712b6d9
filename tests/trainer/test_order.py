"""Runs: which partition was learned from up to where, in order."""

import numpy as np

from streammf.trainer.order import joined, runs


def of(*pairs: tuple[int, int]) -> list[list[int]]:
    rows, offsets = zip(*pairs, strict=True)
    found: list[list[int]] = runs(np.array(rows, np.int32), np.array(offsets, np.int64)).tolist()
    return found


def test_a_run_ends_where_another_partition_begins_and_names_the_offset_after_it() -> None:
    assert of((0, 5), (0, 6), (2, 0), (0, 9), (0, 12)) == [[0, 7], [2, 1], [0, 13]]


def test_no_records_are_no_runs() -> None:
    assert runs(np.zeros(0, np.int32), np.zeros(0, np.int64)).shape == (0, 2)
    assert joined([]).shape == (0, 2)


def test_batches_join_as_if_they_had_been_one() -> None:
    parts = [np.array(part, np.int64).reshape(-1, 2) for part in ([[0, 7], [1, 3]], [], [[1, 5]], [[1, 6], [0, 9]])]
    assert joined(parts).tolist() == [[0, 7], [1, 6], [0, 9]]
