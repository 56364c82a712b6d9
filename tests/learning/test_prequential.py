"""Measures that are kept while learning: against the oracle, against ranking every item, and as state."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from streammf.learning.arguments import Batch
from streammf.learning.blend_measures import rank_by_all
from streammf.learning.learner import learner
from streammf.learning.methods import GRADIENT, NEIGHBOURS, SERVED, SOLVED, names
from streammf.learning.options import LearningOptions
from streammf.learning.stack_measures import foretell_by_parts
from streammf.learning.tables import HORIZONS, LISTED, MEASURES, METHODS, TOPS, Array, State
from tests import measure_oracles, oracles
from tests.learning.arrays import Model, batch, model, part, random_log
from tests.learning.worlds import MOVIELENS, made_up, read, real

#: Positions in `rank_by_all` and here: the blend, each popularity, neighbours, factors + popularity, least squares.
BOTH = ((0, 0), *((h, h) for h in range(1, HORIZONS + 1)), (6, NEIGHBOURS), (7, GRADIENT), (8, SOLVED))
KINDS: dict[str, dict[str, Any]] = {
    "blend": {"blend": True, "neighbours": 12, "peers": 5},
    "ranking": {"blend": False},
    "rating": {"objective": "rating", "stack": False},
    "stack": {"objective": "rating", "neighbours": 12},
}


def options_of(kind: str, **choice: Any) -> LearningOptions:
    small = {"factors": 6, "history": 8, "recent": 400, "user_half_life": 0.0, "measure_every": 1}
    return LearningOptions(**{**small, **KINDS[kind], **choice})


def log_of(events: int, items: int = 60, seed: int = 5) -> Batch:
    """Random choices of many items, some of them often."""
    log = random_log(seed, events, users=9)
    log.item[:] = np.random.default_rng(seed).geometric(3 / items, events) % items
    return log


def learned(options: LearningOptions, log: Batch, cuts: list[int] | None = None) -> Model:
    made = model(options, users=int(log.user.max()) + 1, items=int(log.item.max()) + 1, events=len(log.user), partitions=2)
    learn = learner(options)
    for first, last in pairwise([0, *sorted(cuts or []), len(log.user)]):
        learn(*made, part(log, first, last))
    return made


def of_each(options: LearningOptions, log: Batch) -> list[tuple[State, Array | None]]:
    """For each event the state before it, and its measures (METHODS, MEASURES), None where it was not measured."""
    made = model(options, users=int(log.user.max()) + 1, items=int(log.item.max()) + 1, events=len(log.user), partitions=2)
    learn, found = learner(options), []
    measures = made.state.measures
    for n in range(len(log.user)):
        before, total, counted = oracles.wide(made.state), measures.total[0].copy(), int(measures.counted[0])
        learn(*made, part(log, n, n + 1))
        values = (measures.total[0] - total).reshape(METHODS, MEASURES)
        found.append((before, values if measures.counted[0] > counted else None))
    return found


@pytest.mark.parametrize("kind", ["blend", "ranking"])
def test_the_measures_of_each_choice_are_those_of_ranking_every_item(kind: str) -> None:
    options, log = options_of(kind), log_of(900)
    scored = measure_oracles.blend_scores if kind == "blend" else measure_oracles.factor_scores
    methods = len(names(options))
    counted = certain = hits = 0
    for n, (state, values) in enumerate(of_each(options, log)):
        user, item = int(log.user[n]), int(log.item[n])
        away = measure_oracles.had(state, user)
        if log.weight[n] == 0 or state.items.events[item] == 0 or item in away:
            assert values is None
            continue
        assert values is not None
        counted += 1
        for method, (least, most) in enumerate(measure_oracles.ranked(scored(state, options, user), item, away)):
            best, worst = measure_oracles.ranking_measures(least), measure_oracles.ranking_measures(most)
            certain += best == worst
            hits += best[0] > 0
            assert np.all(values[method] <= np.array(best) + 1e-9), (n, method)
            assert np.all(values[method] >= np.array(worst) - 1e-9), (n, method)
    assert counted > 100
    assert certain > 0.7 * counted * methods
    assert 0.1 < hits / counted / methods < 0.95


def test_the_measures_of_each_rating_are_the_errors_of_model_and_biases() -> None:
    options, log = options_of("rating", measure_every=4), log_of(300)
    for n, (state, values) in enumerate(of_each(options, log)):
        if log.weight[n] == 0:
            assert values is None
        else:
            wanted = measure_oracles.rating_errors(state, options, int(log.user[n]), int(log.item[n]), float(log.value[n]))
            assert values is not None
            np.testing.assert_allclose(values[:2, :2], wanted, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(values[SERVED], values[0])


def test_the_measures_of_each_rating_are_the_errors_of_the_stacks_parts() -> None:
    """Within what two kernels that learn the same in another order of additions come to."""
    options, log = options_of("stack", measure_every=4), log_of(300)
    made = model(options, users=int(log.user.max()) + 1, items=int(log.item.max()) + 1, events=len(log.user), partitions=2)
    served, biases, factors, stack = foretell_by_parts(*made, log, options).T
    measured = 0
    for n, (_, values) in enumerate(of_each(options, log)):
        if values is None:
            assert log.weight[n] == 0
            continue
        measured += 1
        off = np.array([column[n] - log.value[n] for column in (stack, biases, factors)])
        np.testing.assert_allclose(values[:3, 0], off**2, rtol=0.02, atol=1e-3)
        np.testing.assert_allclose(values[:3, 1], abs(off), rtol=0.02, atol=1e-3)
        np.testing.assert_allclose(values[SERVED, 0], (served[n] - log.value[n]) ** 2, rtol=0.02, atol=1e-3)
    assert measured > 200


@pytest.mark.parametrize("kind", KINDS)
def test_recent_sums_are_the_decayed_sums_of_the_single_measures(kind: str) -> None:
    options, log = options_of(kind, measure_window=20.0), log_of(500)
    measures = learned(options, log).state.measures
    values = np.array([v for _, v in of_each(options, log) if v is not None])
    weight = 0.5 ** (np.arange(len(values))[::-1] / 20)
    assert measures.recent[0] == pytest.approx(weight.sum())
    assert measures.recent_square[0] == pytest.approx((weight**2).sum())
    np.testing.assert_allclose(measures.window[0].reshape(METHODS, MEASURES), np.tensordot(weight, values, 1), atol=1e-9)
    np.testing.assert_allclose(measures.total[0].reshape(METHODS, MEASURES), values.sum(axis=0), rtol=1e-12)
    used = [*range(len(names(options))), SERVED]
    first = values[:, used, 0]
    apart = np.tensordot(weight, (first[:, :, None] - first[:, None, :]) ** 2, 1)
    np.testing.assert_allclose(measures.apart[0].reshape(METHODS, METHODS)[np.ix_(used, used)], apart, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_change_no_bit_of_measures_guard_or_model(kind: str, size: int) -> None:
    options, log = options_of(kind, measure_every=2, measure_window=30.0), log_of(700)
    whole, cut = learned(options, log), learned(options, log, list(range(size, 700, size)))
    for table, other in zip(whole.state, cut.state, strict=True):
        for column, same in zip(table, other, strict=True):
            assert column.tobytes() == same.tobytes()
    assert whole.state.measures.counted[0] > 50


@pytest.mark.parametrize("kind", KINDS)
def test_measuring_changes_nothing_else_and_off_leaves_no_trace(kind: str) -> None:
    log = log_of(400)
    on, off = learned(options_of(kind), log), learned(options_of(kind, measure_every=0), log)
    for name in State._fields:
        if name != "measures":
            for column, same in zip(getattr(on.state, name), getattr(off.state, name), strict=True):
                assert column.tobytes() == same.tobytes(), name
    fresh = model(options_of(kind), users=1, items=1, events=1)
    assert all(np.array_equal(a, b) for a, b in zip(off.state.measures, fresh.state.measures, strict=True))


def test_a_share_of_the_events_is_measured_and_stands_for_all() -> None:
    log = made_up(events=30_000)
    measures = learned(options_of("rating", measure_every=16), log).state.measures
    wanted = 20_000 / 4 + 10_000 / 16
    assert measures.counted[0] == pytest.approx(wanted, rel=0.05)
    assert measures.stands_for[0] == pytest.approx(30_000, rel=0.1)


def test_the_lists_of_popular_items_are_those_of_sorting_all() -> None:
    chance = np.random.default_rng(3)
    item = np.minimum(chance.zipf(1.3, 20_000), 3000) - 1
    log = batch(chance.integers(0, 50, 20_000), item, time=1_600_000_000_000 + np.cumsum(chance.integers(0, 600_000, 20_000)))
    state = learned(options_of("blend", factors=4, measure_every=1000), log).state
    for horizon in range(HORIZONS):
        kept = set(state.measures.top[0, horizon * TOPS : (horizon + 1) * TOPS].tolist())
        wanted = np.sort(state.audience.popularity[:, horizon])[::-1][:TOPS]
        found = np.sort(state.audience.popularity[list(kept), horizon])[::-1]
        np.testing.assert_array_equal(found, wanted)


def both(log: Batch, options: LearningOptions) -> tuple[Array, Array, int]:
    """recall@10 of each method in BOTH: of ranking every item, of the measures, and how many events they are of."""
    users, items = int(log.user.max()) + 1, int(log.item.max()) + 1
    exact = model(options, users, items, len(log.user))
    ranks = rank_by_all(*exact, log, options, np.ones(len(log.user), np.bool_))
    ranks = ranks[ranks[:, 0] >= 0]
    measures = learned(options, log).state.measures
    assert measures.counted[0] == len(ranks)
    means = (measures.total[0] / measures.stands_for[0]).reshape(METHODS, MEASURES)[:, 0]
    return (ranks[:, [one for one, _ in BOTH]] < LISTED).mean(axis=0), means[[other for _, other in BOTH]], len(ranks)


def require_near(full: Array, estimate: Array, many: int) -> None:
    """Popularity and neighbours exact but for a few; what has vectors at most 3 % of its value, or noise, too high."""
    np.testing.assert_allclose(estimate[1:6], full[1:6], atol=0.002)
    assert np.all(estimate >= full - 0.002)
    assert np.all(estimate <= full + np.maximum(0.03 * full, 2 * np.sqrt(full / many)))


@pytest.mark.data
@pytest.mark.parametrize(("name", "at_least"), [(MOVIELENS, 5), ("amazon-musical-instruments-5core.csv.gz", -np.inf)])
def test_on_real_logs_the_measures_are_those_of_ranking_every_item(name: str, at_least: float) -> None:
    path = real(name)
    if path is None:
        pytest.skip(f"STREAMMF_TEST_DATA names no folder with {name}")
    require_near(*both(read(path, at_least), LearningOptions(blend=True, measure_every=1)))


def test_in_a_large_catalogue_the_measures_are_those_of_ranking_every_item() -> None:
    log = made_up(seed=2, events=12_000, users=300, items=5_000, genres=12)
    assert len(np.unique(log.item)) > 2_000
    require_near(*both(log, LearningOptions(blend=True, measure_every=1, factors=16)))
