"""The chain of seen items is exact: longer than a block, longer than the history ring."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.learning import answers
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from tests.learning.arrays import batch, model, read_only


def options() -> LearningOptions:
    return LearningOptions(factors=2, history=4, recent=10, negatives=1, rehearsals=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 79), st.booleans()), min_size=1, max_size=250))
def test_seen_items_are_all_the_items_that_a_user_had_an_event_on(events: list[tuple[int, int, bool]]) -> None:
    made = model(options(), users=4, items=80, events=len(events))
    users, items, positive = (np.array(column) for column in zip(*events, strict=True))
    learner(options())(*made, batch(users, items, weight=positive))
    state = read_only(made.state)
    for user in range(3):
        assert answers.seen_items(state, user).tolist() == sorted(set(items[users == user].tolist()))
    assert answers.seen_items(state, 3).tolist() == []


def test_a_chain_takes_4_bytes_an_item() -> None:
    made = model(options(), users=1, items=150, events=150)
    learner(options())(*made, batch(np.zeros(150), np.arange(150)))
    assert made.counts[Axis.SEEN] == 10
    assert made.state.users.seen_count[0] == 150


def test_an_item_that_is_clicked_over_and_over_takes_one_place() -> None:
    made = model(options(), users=1, items=2, events=1000)
    learner(options())(*made, batch(np.zeros(1000), np.arange(1000) % 2))
    assert made.counts[Axis.SEEN] == 1
    assert made.state.users.seen_count[0] == 2


def test_a_block_is_made_whole_whatever_its_memory_held() -> None:
    made = model(options(), users=1, items=5, events=3)
    made.state.seen.items[:] = 0
    made.state.seen.next[:] = 0
    learner(options())(*made, batch([0], [3]))
    assert answers.seen_items(read_only(made.state), 0).tolist() == [3]
