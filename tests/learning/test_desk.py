"""The desk's hash of candidates."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.learning import desk as desks
from streammf.learning.desk import desk
from streammf.learning.tables import Dimensions
from tests.inners import compiled

candidate, put_candidate, clear = compiled(desks.candidate), compiled(desks.put_candidate), compiled(desks.clear)

SMALL = Dimensions(factors=2, history=2, blend=1, neighbours=1, peers=1)


@settings(deadline=None)  # the first call compiles
@given(rows=st.lists(st.integers(0, 2**31 - 1), max_size=1000), others=st.lists(st.integers(0, 2**31 - 1), max_size=50))
def test_candidates_are_found_and_others_are_not_and_nothing_is_left_behind(rows: list[int], others: list[int]) -> None:
    made = desk(SMALL)
    numbers = {row: put_candidate(made, row) for row in rows}
    assert sorted(numbers.values()) == list(range(len(set(rows))))
    for row in rows + others:
        assert candidate(made, row) == numbers.get(row, -1)
    clear(made)
    assert made.used[0] == 0
    assert np.all(made.slots == -1)
