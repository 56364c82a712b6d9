"""Who is away for long: the points, the clock, and who is meant."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis, State
from streammf.state.expiry import DAY, Expiry

COUNTS = np.array([3, 2, 0, 0, 0, 1], np.int64)


def state(clock: int = 0, users: Any = (0, 0, 0), events: Any = (1, 1, 1)) -> State:
    return cast(
        State,
        SimpleNamespace(
            users=SimpleNamespace(last_time=np.array(users, np.int64), events=np.array(events, np.int32)),
            items=SimpleNamespace(last_time=np.array([0, 9 * DAY], np.int64), events=np.ones(2, np.int32)),
            whole=SimpleNamespace(clock=np.array([clock], np.int64)),
            expiry=SimpleNamespace(clock=np.zeros(1, np.int64), times=np.zeros((1, 2), np.int64)),
        ),
    )


def test_a_point_comes_after_every_so_many_events_and_never_at_once() -> None:
    expiry = Expiry(LearningOptions(forget_every=10))
    assert [expiry.until(events) for events in (0, 1, 9, 10, 25)] == [10, 9, 1, 10, 5]


def test_away_is_who_has_had_no_event_for_longer_than_asked_for_on_either_side() -> None:
    expiry = Expiry(LearningOptions(forget_users_after_days=2.5))
    found = state(10 * DAY, [int(7.5 * DAY), int(7.5 * DAY) - 1, 0], [3, 1, 0])
    assert expiry.away(found, COUNTS, Axis.USER).tolist() == [1], "the last has a row and no event"
    assert expiry.away(found, COUNTS, Axis.ITEM).tolist() == []
    assert Expiry(LearningOptions(forget_items_after_days=3)).away(found, COUNTS, Axis.ITEM).tolist() == [0]


@given(st.lists(st.integers(0, 50), max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_refused_events_move_time_where_three_in_a_row_agree_whatever_the_batches(times: list[int], borders: list[int]) -> None:
    expiry, found = Expiry(LearningOptions(forget_users_after_days=1)), state()
    for part in np.split(np.array(times, np.int64), sorted(borders)):
        expiry.refused(found, part)
    attested = [min(three) for three in zip(times, times[1:], times[2:], strict=False)]
    assert found.expiry.clock[0] == max(attested, default=0)


def test_one_stamp_of_the_far_future_makes_nobody_go() -> None:
    expiry, found = Expiry(LearningOptions(forget_users_after_days=1)), state(DAY, [DAY, DAY, DAY])
    expiry.refused(found, np.array([DAY, 10**15, 10**15, DAY], np.int64))
    assert expiry.away(found, COUNTS, Axis.USER).tolist() == []
    expiry.refused(found, np.array([3 * DAY] * 3, np.int64))
    assert expiry.away(found, COUNTS, Axis.USER).tolist() == [0, 1, 2]
