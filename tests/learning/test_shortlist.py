"""Answers of the blend against the oracle's scores of every item."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.features import FEATURE_NAMES, SOURCES
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, State
from tests import blend_oracles, oracles
from tests.learning.arrays import model, random_log, read_only

NONE = np.empty(0, np.int32)


def taught(items: int = 60, met: int = 40, seed: int = 4, **choice: Any) -> tuple[State, Array, LearningOptions]:
    """A model of so many items met (of those registered), 6 users who did something and 2 who did not."""
    options = LearningOptions(
        **{"blend": True, "factors": 6, "history": 8, "neighbours": 12, "peers": 32, "user_half_life": 0.0, **choice}
    )
    made = model(options, users=8, items=items, events=1500, partitions=2)
    log = random_log(seed=seed, events=1500, users=6)
    log.item[:] = np.random.default_rng(seed).geometric(3 / met, 1500) % met
    learner(options)(*made, log)
    return read_only(made.state), made.counts, options


def scores(state: State, options: LearningOptions, user: int) -> dict[int, float]:
    """What the oracle gives every item that was met."""
    state = oracles.wide(state)
    past = blend_oracles.past_of(state, options, user)
    found, scale = blend_oracles.readings(state, options, user, past)
    weights = blend_oracles.weights_of(state, user)
    return {
        item: float(weights @ blend_oracles.features(state, options, user, item, found.get(item, np.zeros(5)), scale))
        for item in np.flatnonzero(state.items.events).tolist()
    }


@pytest.mark.parametrize("k", [1, 7, 100])
def test_a_recommendation_is_the_best_of_all_by_the_oracles_scores(k: int) -> None:
    state, counts, options = taught()
    for user in range(6):
        exclude = answers.seen_items(state, user)[::3]
        ranked = answers.recommend(state, counts, options, user, NONE, k, exclude)
        allowed = {item: score for item, score in scores(state, options, user).items() if item not in exclude}
        wanted = oracles.ranked(allowed, k)
        assert len(ranked.rows) == len(wanted)
        np.testing.assert_allclose(ranked.scores, [allowed[item] for item in wanted], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(ranked.scores, [allowed[item] for item in ranked.rows.tolist()], rtol=1e-3, atol=1e-3)
        assert ranked.personal
        assert np.all(np.diff(ranked.scores) <= 0)


@pytest.mark.parametrize("seed", [1, 4, 6])  # 1 and 4: long idle items that nobody speaks for are among the best
def test_the_shortlist_of_many_items_holds_the_best_of_all(seed: int) -> None:
    state, counts, options = taught(items=3000, met=2500, seed=seed, neighbours=30)
    assert np.count_nonzero(state.items.events) > 700
    kept = 0
    for user in range(6):
        wanted = oracles.ranked(scores(state, options, user), 10)
        ranked = answers.recommend(state, counts, options, user, NONE, 10, NONE)
        kept += len(set(wanted) & set(ranked.rows.tolist()))
    assert kept >= 59


def test_parts_of_the_sources_sum_to_one_and_the_weightiest_comes_first() -> None:
    state, counts, options = taught()
    ranked = answers.recommend(state, counts, options, 0, NONE, 10, NONE)
    assert ranked.shares is not None
    assert ranked.shares.shape == (10, len(SOURCES))
    np.testing.assert_allclose(ranked.shares.sum(axis=1), 1, rtol=1e-5)
    for parts in answers.sources(ranked):
        assert list(parts.values()) == sorted(parts.values(), reverse=True)


def test_a_predicted_choice_is_the_score_that_recommend_orders_by() -> None:
    state, counts, options = taught()
    ranked = answers.recommend(state, counts, options, 2, NONE, 5, NONE)
    for row, score in zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True):
        assert answers.predict(state, counts, options, 2, row) == pytest.approx(score, rel=1e-5)
    assert np.isfinite(answers.predict(state, counts, options, -1, 3))
    assert np.isfinite(answers.predict(state, counts, options, 2, -1))


def test_rows_beyond_the_count_do_not_exist() -> None:
    state, counts, options = taught()
    fewer = counts.copy()
    fewer[Axis.ITEM] = 10
    assert sorted(answers.recommend(state, fewer, options, 0, NONE, 60, NONE).rows.tolist()) == list(range(10))
    fewer[Axis.ITEM] = 0
    assert len(answers.recommend(state, fewer, options, 0, NONE, 5, NONE).rows) == 0


def test_who_is_unknown_gets_what_newcomers_choose_and_a_list_of_what_is_popular_is_that_alone() -> None:
    state, counts, options = taught()
    popular = answers.popular(state, counts, options, 10, NONE)
    assert (len(popular.rows), popular.personal, popular.shares) == (10, False, None)
    lists = [answers.recommend(state, counts, options, user, NONE, 10, NONE) for user in (-1, 7)]
    assert lists[0].rows.tolist() == lists[1].rows.tolist()
    for ranked in lists:
        assert not ranked.personal
        assert ranked.shares is not None
        assert not ranked.shares[:, [SOURCES.index(name) for name in ("factors", "neighbours", "peers")]].any()
        assert answers.predict(state, counts, options, 7, int(ranked.rows[0])) == ranked.scores[0]


def test_a_visitor_is_answered_as_a_user_of_the_same_choices_would_be() -> None:
    state, counts, options = taught(least_squares=False, gradient=False)
    past = np.array(blend_oracles.past_of(state, options, 1)[::-1], np.int32)
    visitor = answers.recommend(state, counts, options, -1, past, 10, past)
    user = answers.recommend(state, counts, options, 1, NONE, 10, past)
    assert visitor.personal
    # neither segments nor the user's own place among the peers are the visitor's
    assert len(set(visitor.rows.tolist()) & set(user.rows.tolist())) >= 6


def test_switched_off_learners_say_nothing() -> None:
    state, counts, options = taught(gradient=False, least_squares=False)
    ranked = answers.recommend(state, counts, options, 0, NONE, 10, NONE)
    assert ranked.shares is not None
    assert not ranked.shares[:, SOURCES.index("factors")].any()
    assert not state.users.factor.any()
    assert not state.solved_users.factor.any()


@pytest.mark.parametrize("off", ["neighbours", "peers"])
def test_what_is_switched_off_is_neither_kept_nor_weighed(off: str) -> None:
    state, counts, options = taught(**{off: 0})
    assert np.any(state.neighbours.item >= 0) == (off == "peers")
    moved = state.blend.weight[0].reshape(-1, len(FEATURE_NAMES)) != 0
    names = ("near", "far", "next", "cosine") if off == "neighbours" else ("peers",)
    assert not moved[:, [FEATURE_NAMES.index(name) for name in names]].any()
    assert moved[:, FEATURE_NAMES.index("peers" if off == "neighbours" else "near")].any()
    for user in range(6):
        shares = answers.recommend(state, counts, options, user, NONE, 7, NONE).shares
        assert shares is not None
        assert not shares[:, SOURCES.index(off)].any()
        assert shares.any()
