"""Batches that are cut in two between events, with what stands between them."""

from collections.abc import Sequence

import numpy as np

from streammf.events.event import Attributes, Control
from streammf.learning.arguments import Batch
from streammf.state.ids import Registered, Texts, joined
from streammf.state.prepared import Columns, Prepared, kept_of


def names(ids: Texts) -> list[bytes]:
    return [ids.text[begin:stop].tobytes() for begin, stop in zip(ids.begins, ids.stops, strict=True)]


def columns(count: int, controls: Sequence[int] = ()) -> Columns:
    """Events 0..count-1, whose every number is their own, and control events before those that are named."""
    numbers = np.arange(count)
    return Columns(
        joined([f"u{n}".encode() for n in numbers]), joined([f"i{n}".encode() for n in numbers]), numbers.astype(np.uint16),
        numbers.astype(np.float32), numbers, numbers.astype(np.int32), numbers,
        [Control("item", f"c{n}", Attributes(), 0, n, 0, before) for n, before in enumerate(controls)],
    )  # fmt: skip


def test_a_cut_batch_has_each_event_once_and_each_control_event_where_it_stood() -> None:
    whole = columns(5, [0, 2, 3, 3, 5])
    before, behind = whole.before(3), whole.behind(3)
    assert (before.events, behind.events) == (3, 2)
    assert names(before.users) + names(behind.users) == names(whole.users)
    assert names(before.items) + names(behind.items) == names(whole.items)
    for name in ("kinds", "values", "times", "partitions", "offsets"):
        parts = getattr(before, name), getattr(behind, name)
        assert np.concatenate(parts).tolist() == getattr(whole, name).tolist()
    assert [(one.id, one.before) for one in before.controls] == [("c0", 0), ("c1", 2)]
    assert [(one.id, one.before) for one in behind.controls] == [("c2", 0), ("c3", 0), ("c4", 2)]


def prepared(events: int, kept: list[bool] | None) -> Prepared:
    rows = np.zeros(events if kept is None else sum(kept), np.int32)
    nobody = Registered(rows, np.zeros(0, np.uint64), rows[:0])
    return Prepared(Batch(*[rows] * 7), nobody, nobody, kept=None if kept is None else np.array(kept))


def test_what_was_kept_of_all_parts_stands_in_the_order_of_the_events() -> None:
    found = kept_of([prepared(2, None), prepared(3, [True, False, True]), prepared(1, None)])
    assert found is not None
    assert found.tolist() == [True, True, True, False, True, True]
    assert kept_of([prepared(2, None), prepared(3, None)]) is None
