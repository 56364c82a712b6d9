import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streammf.events.event import NO_ATTRIBUTES, Control
from streammf.events.records import one_partition
from streammf.state.meta import Position
from streammf.trainer.progress import Progress, erasures
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


def erasure(offset: int) -> Control:
    return Control("forget_user", "u", NO_ATTRIBUTES, 0, offset, 0, 0)


def test_a_batch_is_parted_after_each_record_that_erases() -> None:
    source = ListedSource([])
    source.seek({LOG: 10})
    progress = Progress(source, [Position(LOG.topic, LOG.number, 10, "one")])
    records = one_partition(LOG, 10, [b"%d" % n for n in range(6)], [0] * 6, [None] * 6)
    ends = erasures(records, [erasure(11), erasure(14)])
    parts = list(progress.parts(records, ends))
    assert [list(part.values) for part in parts] == [[b"0", b"1"], [b"2", b"3", b"4"], [b"5"]]
    assert [part.positions[LOG] for part in parts] == [12, 15, 16]


def test_a_batch_that_ends_with_its_only_erasure_is_left_whole() -> None:
    records = one_partition(LOG, 10, [b"0", b"1"], [0] * 2, [None] * 2)
    assert erasures(records, [erasure(11)]) == []
    assert erasures(records, [erasure(10), erasure(11)]) == [0, 1]
    assert erasures(records, [erasure(11)._replace(kind="item")]) == []
