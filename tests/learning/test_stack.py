"""How the stack weighs, and how its guard chooses."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.arrival import advance
from streammf.learning.foretelling import BIASES, FACTORS, WHOLE
from streammf.learning.learner import learner
from streammf.learning.measures import errors, foretell_ratings
from streammf.learning.options import LearningOptions
from streammf.learning.slate import slate
from streammf.learning.stack import begin, judge, learn_stack
from streammf.learning.stack_measures import foretell_by_parts
from streammf.learning.tables import STACKED, Array, Dimensions, Stack
from tests import stack_oracles
from tests.learning.arrays import batch, model, random_log, read_only
from tests.learning.worlds import made_up

OPTIONS = LearningOptions(objective="rating", factors=4)


def fresh() -> Stack:
    """A stack that has learned nothing."""
    stack = model(OPTIONS, 1, 1, 1).state.stack
    begin(stack)
    return stack


def taught(stack: Stack, features: Array, values: Array, weight: float = 1.0) -> None:
    """Let it learn from ratings with these features, each foretold first."""
    laid = slate(Dimensions())
    for x, value in zip(features, values, strict=True):
        laid.feature[:] = x
        laid.foretold[:] = [0.0, 0.0, x @ stack.weight[0]]
        learn_stack(stack, laid, float(value), weight)


def inverse_of(stack: Stack) -> Array:
    found: Array = stack.inverse[0].reshape(STACKED, STACKED)
    return found


def test_weights_are_those_of_weighted_ridge_regression() -> None:
    chance, n, start = np.random.default_rng(0), 300, np.zeros(STACKED)
    start[[stack_oracles.FEATURES.index("factored"), stack_oracles.FEATURES.index("biased")]] = 0.5
    features = chance.normal(0, 0.5, (n, STACKED))
    values = features @ chance.normal(0, 0.3, STACKED) + chance.normal(0, 0.5, n)
    stack = fresh()
    gram, right = np.eye(STACKED) / 0.1, start / 0.1
    for x, value in zip(features, values, strict=True):
        before = abs(value - x @ np.linalg.solve(gram, right))  # of the regression on all that came before
        weight = 2.0 * (1 + 0.2 / max(min(before, 4.0), 0.25))
        taught(stack, x[None], np.array([value]), weight=2.0)
        gram, right = 0.9999 * gram + weight * np.outer(x, x), 0.9999 * right + weight * value * x
    # not to the last digit: the bound of the inverse's diagonal is met in the first few steps
    np.testing.assert_allclose(stack.weight[0], np.linalg.solve(gram, right), atol=1e-5)
    np.testing.assert_allclose(inverse_of(stack), np.linalg.inv(gram), atol=1e-6)


@pytest.mark.parametrize("kind", ["nothing but one feature", "features that are all the same", "hostile"])
def test_the_inverse_stays_symmetric_positive_and_bounded(kind: str) -> None:
    chance, n, stack = np.random.default_rng(1), 1_500, fresh()
    features = np.zeros((n, STACKED))
    if kind == "nothing but one feature":
        features[:, 0] = 1.0
    elif kind == "features that are all the same":
        features[:] = chance.normal(0, 1, (n, 1))
    else:
        features[:] = chance.choice([-8.0, 0.0, 8.0, 1e-300], (n, STACKED))
    taught(stack, features, chance.choice([-2.0, 2.0], n), weight=100.0)
    inverse = inverse_of(stack)
    assert (inverse == inverse.T).all()
    assert np.diag(inverse).max() <= 0.1
    assert np.linalg.eigvalsh(inverse).min() >= -1e-12
    assert np.abs(stack.weight).max() <= 16.0


def test_an_inverse_that_is_not_positive_any_more_starts_anew() -> None:
    stack = fresh()
    taught(stack, np.ones((5, STACKED)), np.ones(5))
    stack.inverse[0] *= -1.0
    taught(stack, np.ones((1, STACKED)), np.ones(1))
    np.testing.assert_array_equal(inverse_of(stack), 0.1 * np.eye(STACKED))


def judged(stack: Stack, foretold: list[float], value: float, times: int) -> None:
    for _ in range(times):
        judge(stack, np.array(foretold), value, 1.0)


def test_a_young_model_serves_biases_and_then_what_is_better_by_a_margin() -> None:
    stack = fresh()
    judged(stack, [0.5, 0.4, 0.1], 0.0, 200)
    assert stack.serving[0] == BIASES
    judged(stack, [0.5, 0.4, 0.1], 0.0, 1)
    assert stack.serving[0] == WHOLE
    judged(stack, [0.0995, 0.4, 0.1], 0.0, 8_000)  # .9 % better in squares
    assert stack.serving[0] == WHOLE
    judged(stack, [0.099, 0.4, 0.1], 0.0, 8_000)
    assert stack.serving[0] == BIASES
    judged(stack, [0.099, 0.0988, 0.1], 0.0, 8_000)
    assert stack.serving[0] == BIASES
    judged(stack, [0.099, 0.098, 0.1], 0.0, 8_000)
    assert stack.serving[0] == FACTORS


def test_what_is_better_in_squares_and_worse_in_absolute_error_does_not_take_over() -> None:
    stack = fresh()
    for n in range(5_000):
        judge(stack, np.array([1.0 if n % 4 == 0 else 0.0, 1.0, 0.45]), 0.0, 1.0)
    assert stack.squared[0, WHOLE] < 0.9 * stack.squared[0, BIASES]
    assert stack.absolute[0, WHOLE] > stack.absolute[0, BIASES]
    assert stack.serving[0] == BIASES


def test_vectors_that_run_wild_leave_the_predictions_no_worse_than_biases() -> None:
    log = made_up(events=8_000)
    wild: dict[str, Any] = {"user_rate": 4.5, "item_rate": 5.5, "history_rate": 2.5, "bias_rate": 2.5}
    options = LearningOptions(objective="rating", **wild)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    served, biases, factors, _ = (errors(column, log.value) for column in foretell_by_parts(*made, log, options).T)
    assert factors.rmse > 1.5 * biases.rmse
    assert served.rmse <= 1.01 * biases.rmse
    assert served.mae <= 1.01 * biases.mae


def test_every_part_foretells_what_the_oracle_does() -> None:
    options = LearningOptions(objective="rating", factors=4, history=6, neighbours=4, user_half_life=0.0)
    log = random_log(seed=9, events=400)
    made, expected = (model(options, users=7, items=12, events=400, partitions=2) for _ in range(2))
    found = foretell_by_parts(*made, log, options)
    learn, state, servers = learner(options), expected.state, set()
    for n in range(400):
        before = [column.copy() for column in state.whole]
        advance(state.whole, int(log.time[n]))  # a rating is foretold as of its own time
        parts, _ = stack_oracles.foretold(state, options, int(log.user[n]), int(log.item[n]))
        for column, was in zip(state.whole, before, strict=True):
            column[:] = was
        servers.add(int(state.stack.serving[0]))
        clipped = np.clip([3 + part for part in (parts[int(state.stack.serving[0])], *parts)], 1, 5)
        np.testing.assert_allclose(found[n], clipped, rtol=1e-4, atol=1e-4)
        learn(*expected, type(log)(*(column[n : n + 1] for column in log)))
    np.testing.assert_array_equal(foretell_ratings(*model(options, 7, 12, 400, 2), log, options), found[:, 0])


def test_switched_off_the_vectors_are_the_same_and_the_tables_untouched() -> None:
    log = random_log(seed=2, events=300)
    made = []
    for stack in (True, False):
        options = LearningOptions(objective="rating", factors=4, stack=stack)
        made.append(model(options, users=7, items=12, events=300, partitions=2))
        learner(options)(*made[-1], log)
    with_stack, without = (one.state for one in made)
    np.testing.assert_array_equal(with_stack.users.factor, without.users.factor)
    np.testing.assert_array_equal(with_stack.items.factor, without.items.factor)
    assert with_stack.stack.judged[0] > 0
    assert without.stack.judged[0] == 0
    assert not without.rated_items.support.any()


def test_recommended_ratings_are_those_that_are_predicted() -> None:
    log = made_up(events=6_000)
    options = LearningOptions(objective="rating", factors=6, scale=(-3.0, 9.0))
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(options)(*made, log)
    state, none = read_only(made.state), np.empty(0, np.int32)
    for serving in (BIASES, FACTORS, WHOLE):
        made.state.stack.serving[0] = serving
        ranked = answers.recommend(state, made.counts, options, 3, none, 10, none)
        predicted = [answers.predict(state, made.counts, options, 3, int(row)) for row in ranked.rows]
        np.testing.assert_allclose(ranked.scores, predicted, rtol=1e-5)
        every = sorted((answers.predict(state, made.counts, options, 3, i) for i in range(600)), reverse=True)[:10]
        if serving == FACTORS:
            np.testing.assert_allclose(ranked.scores, every, rtol=1e-5)
        else:
            assert np.mean(ranked.scores) >= 0.97 * np.mean(every)


def test_nobody_and_nothing_are_foretold_by_what_is_known_of_the_other() -> None:
    log = made_up(events=3_000)
    made = model(OPTIONS, int(log.user.max()) + 2, int(log.item.max()) + 2, len(log.user))
    learner(OPTIONS)(*made, log)
    state, new = read_only(made.state), (len(made.state.users.bias) - 1, len(made.state.items.bias) - 1)
    for user, item, known_as in ((-1, 5, (new[0], 5)), (5, -1, (5, new[1])), (-1, -1, new)):
        predicted = answers.predict(state, made.counts, OPTIONS, user, item)
        parts, _ = stack_oracles.foretold(state, OPTIONS, user, item)
        assert predicted == pytest.approx(float(np.clip(3 + parts[int(state.stack.serving[0])], 1, 5)), abs=1e-3)
        assert predicted == pytest.approx(answers.predict(state, made.counts, OPTIONS, *known_as), abs=0.2)


def test_a_visitor_is_answered_from_what_others_say_of_the_items_met() -> None:
    log = made_up(events=3_000)
    made = model(OPTIONS, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(OPTIONS)(*made, log)
    met = np.array([1, 2, 3], np.int32)
    ranked = answers.recommend(read_only(made.state), made.counts, OPTIONS, -1, met, 5, met)
    assert ranked.personal
    assert len(ranked.rows) == 5
    assert np.isfinite(ranked.scores).all()
    assert not np.isin(ranked.rows, met).any()


def test_an_event_that_teaches_nothing_leaves_the_stack_alone() -> None:
    made = model(OPTIONS, users=2, items=2, events=10)
    learner(OPTIONS)(*made, batch([0, 0], [0, 1], value=[5, 1], weight=[0, 0]))
    assert made.state.stack.judged[0] == 0
    assert made.marks.rated_items.used[0] == made.marks.rated_users.used[0] == 0
