"""Answers against slow oracles: the scan, exclusion, people nobody knows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.learning import answers
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, State
from tests import oracles, stack_oracles
from tests.learning.arrays import batch, model, random_log, read_only

ITEMS = 60
NONE = np.empty(0, np.int32)


def taught(objective: Any, **choice: Any) -> tuple[State, Array, LearningOptions]:
    """A model of 40 items met (of 60 registered), 6 users who did something and 2 who did not."""
    options = LearningOptions(objective=objective, factors=6, blend=False, **choice)
    made = model(options, users=8, items=ITEMS, events=300, partitions=2)
    log = random_log(seed=4, events=300, users=6, longest_gap=3_600_000)
    log.item[:] = np.random.default_rng(4).integers(0, 40, 300)
    learner(options)(*made, log)
    return read_only(made.state), made.counts, options


def scores(state: State, options: LearningOptions, vector: Array, items: Array, user: int = -1) -> dict[int, float]:
    """What `recommend` orders by, for each of these items."""
    found = {}
    for i in items.tolist():
        score = float(vector.astype("f8") @ state.items.factor[i])
        if options.objective == "ranking":
            fade = np.log(2) / (options.popularity_half_life * oracles.DAY) * float(state.whole.clock[0])
            found[i] = score + max(float(state.items.log_popularity[i]) - fade, np.log(0.05))
        elif options.stacks:
            parts, _ = stack_oracles.foretold(state, options, user, i, vector.astype("f8"))
            found[i] = parts[int(state.stack.serving[0])]
        else:
            found[i] = score + float(state.items.bias[i])
    return found


def met(state: State) -> Array:
    return np.flatnonzero(state.items.events)


@pytest.mark.parametrize(("objective", "stack"), [("ranking", False), ("rating", False), ("rating", True)])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_a_recommendation_is_the_best_of_a_full_sort(objective: Any, stack: bool, k: int) -> None:
    state, counts, options = taught(objective, stack=stack)
    for user in range(6):
        exclude = answers.seen_items(state, user)[::2]
        ranked = answers.recommend(state, counts, options, user, NONE, k, exclude)
        vector = answers.user_vector(state, options, user)
        wanted = scores(state, options, vector, np.setdiff1d(met(state), exclude), user)
        assert ranked.rows.tolist() == oracles.ranked(wanted, k)
        assert ranked.personal
        assert np.all(np.diff(ranked.scores) <= 0)


@settings(max_examples=50, deadline=None)
@given(exclude=st.lists(st.integers(-1, ITEMS + 5), max_size=80), k=st.integers(1, 70))
def test_what_is_excluded_never_appears_and_everything_else_does(exclude: list[int], k: int) -> None:
    state, counts, options = taught("ranking")
    ranked = answers.recommend(state, counts, options, 0, NONE, k, np.array(exclude, np.int32))
    allowed = set(met(state).tolist()) - set(exclude)
    assert set(ranked.rows.tolist()) <= allowed
    assert len(ranked.rows) == min(k, len(allowed))


@pytest.mark.parametrize(("objective", "blend"), [("ranking", False), ("ranking", True), ("rating", False)])
@pytest.mark.parametrize("items", [30, ITEMS, 1000])
@pytest.mark.parametrize("factors", [3, 32])
def test_asking_together_changes_no_bit_of_any_answer(objective: Any, blend: bool, items: int, factors: int) -> None:
    options = LearningOptions(objective=objective, blend=blend, factors=factors)
    made = model(options, users=20, items=items, events=600, partitions=2)
    log = random_log(seed=5, events=600, users=18)
    log.item[:] = np.random.default_rng(5).integers(0, items, 600)
    learner(options)(*made, log)
    state, chance = read_only(made.state), np.random.default_rng(6)
    asked = []
    for user in chance.integers(-1, 20, 40).tolist():
        history = chance.integers(0, items, chance.integers(0, 3)).astype(np.int32)
        exclude = answers.seen_items(state, user) if user >= 0 else chance.integers(-1, items, 5).astype(np.int32)
        asked.append(answers.Asked(user, history, int(chance.integers(1, 50)), exclude))
    together = answers.recommend_many(state, made.counts, options, asked)
    for one, ranked in zip(asked, together, strict=True):
        alone = answers.recommend(state, made.counts, options, *one)
        assert ranked.rows.tolist() == alone.rows.tolist()
        assert ranked.scores.tobytes() == alone.scores.tobytes()
        assert ranked.personal == alone.personal
        assert len(ranked.rows) == min(one.k, len(np.setdiff1d(met(state), one.exclude)))
    assert answers.recommend_many(state, made.counts, options, []) == []


@pytest.mark.parametrize("row", range(9))
def test_a_score_that_is_no_number_is_no_candidate_and_hides_none(row: int) -> None:
    options = LearningOptions(factors=2, history=0, blend=False)
    made = model(options, users=1, items=9, events=0)
    made.state.items.events[:] = 1
    made.state.items.factor[row] = np.nan
    made.state.users.taught[0] = made.state.users.events[0] = 1
    ranked = answers.recommend(read_only(made.state), made.counts, options, 0, NONE, 9, NONE)
    assert sorted(ranked.rows.tolist()) == [n for n in range(9) if n != row]


def test_equal_scores_stand_in_the_order_of_their_rows() -> None:
    options = LearningOptions(factors=2, history=0, blend=False)
    made = model(options, users=1, items=50, events=0)
    made.state.items.events[:] = 1
    made.state.items.log_popularity[:] = np.arange(50) // 10
    ranked = answers.popular(read_only(made.state), made.counts, options, 15, NONE)
    assert ranked.rows.tolist() == [*range(40, 50), *range(30, 35)]


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_who_is_unknown_gets_what_is_popular(objective: Any) -> None:
    state, counts, options = taught(objective)
    popular = answers.popular(state, counts, options, 10, NONE)
    assert len(popular.rows) == 10
    assert not popular.personal
    for user in (-1, 7):  # nobody, and somebody registered whose first event has not arrived yet
        ranked = answers.recommend(state, counts, options, user, NONE, 10, NONE)
        assert ranked.rows.tolist() == popular.rows.tolist()
        assert not ranked.personal


def test_popular_items_are_those_with_the_most_decayed_weight() -> None:
    options = LearningOptions(factors=2, popularity_half_life=1.0, blend=False)
    made = model(options, users=1, items=4, events=10)
    now, day = 1_600_000_000_000, 86_400_000
    learn = learner(options)
    learn(*made, batch(np.zeros(5), np.zeros(5), time=[now - 4 * day] * 5))
    made.state.whole.clock[0] = now  # others' events have brought it there
    learn(*made, batch([0, 0], [1, 2], weight=[2, 1], time=[now] * 2, offset=[5, 6]))
    ranked = answers.popular(read_only(made.state), made.counts, options, 4, NONE)
    assert ranked.rows.tolist() == [1, 2, 0]
    np.testing.assert_allclose(ranked.scores, np.log([2, 1, 5 / 16]), rtol=1e-4, atol=1e-6)


def test_a_visitor_without_a_row_is_known_by_the_items_met() -> None:
    state, counts, options = taught("ranking", history=3, rank_decay=0.5)
    history = np.array([9, 1, 2, 3], np.int32)
    ranked = answers.recommend(state, counts, options, -1, history, 5, history)
    y = state.implicit.factor
    vector = (y[3] + 0.5 * y[2] + 0.25 * y[1]) / np.sqrt(1.75)
    wanted = scores(state, options, vector, np.setdiff1d(met(state), history))
    assert ranked.rows.tolist() == oracles.ranked(wanted, 5)
    assert ranked.personal


def test_similar_items_point_the_same_way() -> None:
    state, counts, options = taught("ranking")
    q = state.items.factor.astype("f8")
    for item in (0, 5, 59):
        cosine = q @ q[item] / (np.linalg.norm(q, axis=1) * np.linalg.norm(q[item]))
        wanted = {i: float(cosine[i]) for i in met(state).tolist() if i != item}
        ranked = answers.similar_items(state, counts, options, item, 8)
        assert ranked.rows.tolist() == oracles.ranked(wanted, 8)
        np.testing.assert_allclose(ranked.scores, [wanted[i] for i in ranked.rows.tolist()], rtol=1e-4, atol=1e-6)


def test_a_predicted_rating_stays_on_the_scale_and_falls_back_on_what_is_known() -> None:
    options = LearningOptions(objective="rating", factors=4, scale=(0.0, 10.0), stack=False)
    made = model(options, users=3, items=4, events=200)
    learner(options)(*made, batch(np.arange(200) % 2, np.arange(200) % 3, value=np.full(200, 10.0)))
    state = read_only(made.state)

    def predict(user: int, item: int) -> float:
        return answers.predict(state, made.counts, options, user, item)

    ratings = [predict(user, item) for user in range(-1, 3) for item in range(-1, 4)]
    assert all(0 <= rating <= 10 for rating in ratings)
    mean = 5 + 2.5 * oracles.mean(state)
    assert predict(-1, -1) == pytest.approx(mean)
    assert predict(-1, 0) == pytest.approx(min(mean + 2.5 * float(state.items.bias[0]), 10.0))
    assert predict(0, -1) == pytest.approx(min(mean + 2.5 * float(state.users.bias[0]), 10.0))
    made.state.items.factor[0] = made.state.users.factor[0] = 9.0
    assert predict(0, 0) == 10.0


def test_a_predicted_choice_is_the_score_that_recommend_orders_by() -> None:
    state, counts, options = taught("ranking")
    ranked = answers.recommend(state, counts, options, 2, NONE, 5, NONE)
    for row, score in zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True):
        assert answers.predict(state, counts, options, 2, row) == pytest.approx(score, rel=1e-4, abs=1e-5)
    assert np.isfinite(answers.predict(state, counts, options, -1, -1))


def test_rows_beyond_the_count_do_not_exist() -> None:
    state, counts, options = taught("ranking")
    fewer = counts.copy()
    fewer[Axis.ITEM] = 10
    for ranked in (
        answers.recommend(state, fewer, options, 0, NONE, 60, NONE),
        answers.popular(state, fewer, options, 60, NONE),
        answers.similar_items(state, fewer, options, 3, 60),
    ):
        assert len(ranked.rows)
        assert ranked.rows.max() < 10
    fewer[Axis.ITEM] = 0
    assert len(answers.recommend(state, fewer, options, 0, NONE, 5, NONE).rows) == 0
    assert len(answers.popular(state, fewer, options, 5, NONE).rows) == 0


def test_answers_do_not_change_the_state() -> None:
    options = LearningOptions(objective="rating", factors=4)
    made = model(options, users=2, items=3, events=6)
    learner(options)(*made, batch([0, 1, 0], [0, 1, 2], value=[1, 5, 3]))
    before = [column.copy() for table in made.state for column in table]
    state = read_only(made.state)
    answers.recommend(state, made.counts, options, 0, NONE, 2, NONE)
    answers.predict(state, made.counts, options, 1, 2)
    assert all((was == is_).all() for was, is_ in zip(before, (c for table in made.state for c in table), strict=True))
