import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streammf.state.meta import Position
from streammf.trainer.progress import Progress
from tests.trainer.sources import LOG, ListedSource


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 10))
def test_of_any_offsets_exactly_those_are_fresh_that_rise_above_all_before(offsets: list[int], start: int) -> None:
    source = ListedSource([])
    source.seek({LOG: start})
    progress = Progress(source, [Position(LOG.topic, LOG.number, start, "one")])
    fresh = progress.fresh(np.zeros(len(offsets), np.int32), np.array(offsets, np.int64))
    highest, wanted = start - 1, []
    for offset in offsets:
        wanted.append(offset > highest)
        highest = max(highest, offset)
    assert fresh.tolist() == wanted
    assert progress.dropped == wanted.count(False)
