"""The measures against a loop that does what they say with the public answers."""

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.learner import learner
from streammf.learning.measures import errors, foretell_ratings, rank_choices, recall
from streammf.learning.options import LearningOptions
from tests.learning.arrays import model, part, random_log, read_only

EVENTS = 150
NONE = np.empty(0, np.int32)


@pytest.mark.parametrize("stack", [False, True])
def test_foretold_ratings_are_the_predictions_before_each_event(stack: bool) -> None:
    options = LearningOptions(objective="rating", factors=4, history=5, stack=stack)
    log = random_log(seed=1, events=EVENTS)
    measured = model(options, users=7, items=12, events=EVENTS, partitions=2)
    foretold = foretell_ratings(*measured, log, options)
    made = model(options, users=7, items=12, events=EVENTS, partitions=2)
    state = read_only(made.state)
    for n in range(EVENTS):
        expected = answers.predict(state, made.counts, options, int(log.user[n]), int(log.item[n]))
        assert foretold[n] == pytest.approx(expected, rel=1e-4)
        learner(options)(*made, part(log, n, n + 1))
    assert measured.state.items.factor.tobytes() == made.state.items.factor.tobytes()


@pytest.mark.parametrize("every", [1, 3])
def test_ranks_are_places_in_the_full_list_without_seen_items(every: int) -> None:
    options = LearningOptions(blend=False, factors=4, history=5)
    log = random_log(seed=2, events=EVENTS, items=40)
    measured = model(options, users=7, items=40, events=EVENTS, partitions=2)
    ranks = rank_choices(*measured, log, options, every)
    made = model(options, users=7, items=40, events=EVENTS, partitions=2)
    state = read_only(made.state)
    counted = 0
    for n in range(EVENTS):
        user, item = int(log.user[n]), int(log.item[n])
        exclude = answers.seen_items(state, user)
        if state.items.events[item] and item not in exclude and n % every == 0:
            counted += 1
            met = np.flatnonzero(state.items.events)
            rest = np.setdiff1d(met, exclude)
            scores = np.array([answers.predict(state, made.counts, options, user, int(row)) for row in rest])
            own = scores[rest == item][0]
            assert ranks[n] == pytest.approx(np.sum(scores > own + 1e-6), abs=0.5)
        else:
            assert ranks[n] == -1
        learner(options)(*made, part(log, n, n + 1))
    assert counted == np.sum(ranks >= 0) > 10


def test_equal_scores_count_half() -> None:
    options = LearningOptions(blend=False, factors=2, history=0, negatives=0, rehearsals=0)
    made = model(options, users=1, items=5, events=2)
    made.state.items.events[:] = 1
    made.state.items.factor[:] = 0
    log = random_log(seed=0, events=1, users=1, items=5, partitions=1)
    assert rank_choices(*made, log, options).tolist() == [2.0]


def test_errors_and_recall_are_what_their_names_say() -> None:
    assert errors(np.array([1.0, 2.0]), np.array([4.0, 2.0])) == pytest.approx((np.sqrt(4.5), 1.5))
    assert recall(np.array([-1.0, 0.0, 9.5, 10.0, 50.0]), 10) == 0.5
    assert np.isnan(recall(np.array([-1.0]), 10))
