"""The guard: its arithmetic, its hysteresis, and what it does when a model goes wrong and is mended."""

from typing import Any

import numpy as np
import pytest

from streammf.learning import answers
from streammf.learning.guard import advantage, guard
from streammf.learning.learner import learner
from streammf.learning.methods import BLEND_NAMES, MODEL, NEIGHBOURS, OF_BLEND, POPULARITY, SERVED
from streammf.learning.options import LearningOptions
from streammf.learning.prequential import note_values
from streammf.learning.standing import standing
from streammf.learning.tables import MEASURES, METHODS, State
from tests.learning.arrays import Model, model, part, read_only
from tests.learning.worlds import MOVIELENS, made_up, read, real, turning

NONE = np.empty(0, np.int32)
#: Events are rehearsed, so that rates that are too high do their worst.
SANE: dict[str, Any] = {"measure_every": 4, "measure_window": 150.0, "factors": 16, "rehearsals": 1}


def noted(hits: Any, made: Model | None = None, fade: float = 0.5 ** (1 / 200)) -> Model:
    """A model that measured these events: bool (n, OF_BLEND), whether each method hit."""
    made = made or model(LearningOptions(blend=True, factors=4), 1, 1, 1)
    for row in hits:
        value = np.zeros(METHODS * MEASURES)
        value[: OF_BLEND * MEASURES : MEASURES] = row
        note_values(made.state.measures, fade, 1.0, value, OF_BLEND, int(made.state.measures.serving[0]))
        guard(made.state, OF_BLEND)
    return made


def hits_of(seed: int, events: int, **chances: float) -> Any:
    """Independent hits; a method that is not named hits one in a hundred."""
    found = np.random.default_rng(seed).random((events, OF_BLEND))
    rates = [chances.get(name.replace(" ", "_"), 0.01) for name in BLEND_NAMES]
    return found < np.array(rates)


def test_a_lead_is_the_mean_difference_over_its_standard_error() -> None:
    chance = np.random.default_rng(1)
    off, weight = chance.integers(-1, 2, 500).astype(float), 0.5 ** (np.arange(500)[::-1] / 100)
    mean = np.average(off, weights=weight)
    many = weight.sum() ** 2 / (weight**2).sum()
    error = np.sqrt(np.average((off - mean) ** 2, weights=weight) / many)
    found = advantage((weight * off).sum(), (weight * off**2).sum(), weight.sum(), (weight**2).sum())
    assert found == pytest.approx(mean / error)
    assert advantage(0.0, 0.0, 10.0, 10.0) == 0


def test_a_simple_method_serves_while_it_is_better_and_the_model_comes_back() -> None:
    made = noted(hits_of(1, 1500, blend=0.3, neighbours=0.25, popularity=0.1))
    measures = made.state.measures
    assert measures.serving[0] == MODEL
    noted(hits_of(2, 1500, blend=0.05, neighbours=0.25, popularity=0.1), made)
    assert measures.serving[0] == NEIGHBOURS
    noted(hits_of(3, 1500, blend=0.05, neighbours=0.02, popularity=0.2), made)
    assert measures.serving[0] == POPULARITY
    noted(hits_of(4, 1500, blend=0.3, neighbours=0.25, popularity=0.1), made)
    assert measures.serving[0] == MODEL
    assert measures.switched[0] == 3


def test_noise_does_not_move_it() -> None:
    switched = 0
    for seed in range(5):
        made = noted(hits_of(seed, 2000, blend=0.2, neighbours=0.2, popularity=0.2, least_squares=0.2))
        switched += int(made.state.measures.switched[0])
    assert switched <= 4  # equal methods: either may serve, and it does not go to and fro


def test_nothing_is_decided_on_few_events() -> None:
    made = noted(hits_of(1, 50, popularity=0.9))
    assert made.state.measures.serving[0] == MODEL
    assert noted(hits_of(2, 100, popularity=0.9), made).state.measures.serving[0] == POPULARITY


def sane(blend: bool, **choice: Any) -> LearningOptions:
    return LearningOptions(**{**SANE, "blend": blend, **choice})


def spoilt(options: LearningOptions) -> dict[str, float]:
    """The same with every learning rate a hundred times as large."""
    return {name: 100 * getattr(options, name) for name in ("user_rate", "item_rate", "history_rate")}


def finite(state: State) -> bool:
    """No number that is none; -inf stands for the log of nothing."""
    numbers = [column for table in state for column in table if column.dtype.kind == "f"]
    return all(not np.isnan(column).any() and not np.isposinf(column).any() for column in numbers)


@pytest.mark.parametrize("blend", [True, False])
def test_a_hundred_times_the_rates_leave_answers_as_good_as_popularitys_and_are_forgotten(blend: bool) -> None:
    options = sane(blend)
    wrong = sane(blend, **spoilt(options))
    log = turning(seed=1, events=48_000, turns=1)
    third = len(log.user) // 3
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(options)(*made, part(log, 0, third))
    before = standing(made.state, options)
    assert before.serving == before.model
    assert not any(before.worse_than.values())
    learner(wrong)(*made, part(log, third, third + third // 2))
    sums = made.state.measures.total[0].copy()
    learner(wrong)(*made, part(log, third + third // 2, 2 * third))
    during = standing(made.state, wrong)
    gained = (made.state.measures.total[0] - sums).reshape(METHODS, MEASURES)[:, 0]
    assert finite(made.state)
    assert during.serving != during.model
    best = max(during.measures["recent"][name]["recall@10"] for name in during.leads)
    assert during.measures["recent"][during.serving]["recall@10"] >= 0.9 * best
    assert during.worse_than[during.serving]
    assert blend or during.serving == "popularity"
    popularity = max(range(1, POPULARITY + 1), key=lambda m: gained[m]) if blend else 1
    assert gained[SERVED] >= 0.95 * gained[popularity]
    user = int(np.argmax(made.state.users.taught))
    ranked = answers.recommend(read_only(made.state), made.counts, wrong, user, NONE, 10, NONE)
    assert len(ranked.rows) == 10
    assert ranked.personal
    assert np.isfinite(ranked.scores).all()
    learner(options)(*made, part(log, 2 * third, len(log.user)))
    after = standing(made.state, options)
    assert finite(made.state)
    assert after.serving == after.model, (after.leads, after.measures["recent"])


@pytest.mark.data
def test_on_a_real_log_such_rates_are_worse_than_popularity_and_say_so() -> None:
    path = real(MOVIELENS)
    if path is None:
        pytest.skip(f"STREAMMF_TEST_DATA names no folder with {MOVIELENS}")
    options, log = sane(blend=True, measure_every=1, measure_window=500.0), read(path, at_least=5)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(options)(*made, part(log, 0, 7_000))
    assert not any(standing(made.state, options).worse_than.values())
    wrong = sane(blend=True, measure_every=1, measure_window=500.0, **spoilt(options))
    learner(wrong)(*made, part(log, 7_000, 10_500))
    during = standing(made.state, wrong)
    assert finite(made.state)
    assert during.worse_than["popularity"]
    assert during.serving in {"neighbours", "least squares"}
    assert during.measures["recent"]["served"]["recall@10"] > during.measures["recent"]["popularity"]["recall@10"]
    learner(options)(*made, part(log, 10_500, len(log.user)))
    assert standing(made.state, options).serving == "blend"


@pytest.mark.parametrize(
    ("method", "source"), [(1, "popular"), (POPULARITY, "popular"), (NEIGHBOURS, "neighbours"), (8, "factors")]
)
def test_answers_are_those_of_the_method_that_serves(method: int, source: str) -> None:
    options, log = sane(blend=True, measure_every=0), made_up(events=6_000)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(options)(*made, log)
    made.state.measures.serving[0] = method
    ranked = answers.recommend(read_only(made.state), made.counts, options, 3, NONE, 10, NONE)
    assert next(iter(answers.sources(ranked)[0])) == source
    if method <= POPULARITY:
        popularity = made.state.audience.popularity[:, method - 1]
        np.testing.assert_array_equal(np.sort(popularity[ranked.rows])[::-1], np.sort(popularity)[::-1][:10])
        assert all(set(parts) == {"popular"} for parts in answers.sources(ranked))
    score = answers.predict(read_only(made.state), made.counts, options, 3, int(ranked.rows[4]))
    assert score == pytest.approx(float(ranked.scores[4]), rel=1e-5)


def test_without_a_blend_popularity_serves_the_lists_that_popular_gives() -> None:
    options, log = sane(blend=False, measure_every=0), made_up(events=4_000)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learner(options)(*made, log)
    state = read_only(made.state)
    own = answers.recommend(state, made.counts, options, 3, NONE, 10, NONE)
    made.state.measures.serving[0] = 1
    ranked = answers.recommend(state, made.counts, options, 3, NONE, 10, NONE)
    popular = answers.popular(state, made.counts, options, 10, NONE)
    assert ranked.rows.tolist() == popular.rows.tolist() != own.rows.tolist()
    assert ranked.personal
    assert answers.sources(ranked) == [{"popular": 1.0}] * 10
    score = answers.predict(state, made.counts, options, 3, int(ranked.rows[2]))
    assert score == pytest.approx(float(ranked.scores[2]), rel=1e-6)
