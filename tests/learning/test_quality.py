"""How good the model is in one pass with its default options: every event is foretold, then learned from."""

from typing import Any

import numpy as np
import pytest
from river import optim, reco

from streammf.learning.arguments import Batch
from streammf.learning.blend_measures import METHODS, rank_by_all
from streammf.learning.measures import Errors, errors, foretell_ratings, rank_choices, recall
from streammf.learning.options import LearningOptions
from streammf.learning.stack_measures import PREDICTIONS, foretell_by_parts
from tests.learning.arrays import model
from tests.learning.worlds import MOVIELENS, made_up, read, real

#: River's model and nothing else: no history, no rehearsal, no decay, constant rates. River's gradient is twice ours.
PLAIN: dict[str, Any] = {
    "factors": 10,
    "history": 0,
    "rehearsals": 0,
    "regularisation": 0.0,
    "bias_regularisation": 0.0,
    "user_half_life": 0.0,
    "late_half_life": 0.0,
    "popularity_half_life": 0.0,
    "stack": False,
}
#: log-popularity alone.
POPULARITY: dict[str, Any] = {"history": 0, "rehearsals": 0, "negatives": 0, "user_rate": 0.0, "item_rate": 0.0}


def ratings(log: Batch, **choice: Any) -> Errors:
    """Errors of our predictions."""
    options = LearningOptions(objective="rating", **choice)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    return errors(foretell_ratings(*made, log, options), log.value)


def ratings_by_part(log: Batch, **choice: Any) -> dict[str, Errors]:
    """Errors over the ratings after the first tenth of what was served, and of each part of the stack."""
    options = LearningOptions(objective="rating", **choice)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    first = len(log.user) // 10
    foretold = foretell_by_parts(*made, log, options)[first:]
    return {name: errors(column, log.value[first:]) for name, column in zip(PREDICTIONS, foretold.T, strict=True)}


def rivers(log: Batch, bias_rate: float, rate: float) -> Errors:
    """Errors of River's biased matrix factorisation, cut to the scale as ours are."""
    peer: Any = reco.BiasedMF(
        n_factors=10,
        bias_optimizer=optim.SGD(bias_rate),
        latent_optimizer=optim.SGD(rate),
        latent_initializer=optim.initializers.Normal(mu=0.0, sigma=0.1, seed=71),
    )
    foretold = []
    for user, item, value in zip(log.user.tolist(), log.item.tolist(), log.value.tolist(), strict=True):
        foretold.append(peer.predict_one(user, item))
        peer.learn_one(user, item, value)
    return errors(np.clip(foretold, 1, 5), log.value)


def hits(log: Batch, every: int = 1, **choice: Any) -> float:
    """recall@10 over the events after the first tenth, without the blend."""
    options = LearningOptions(blend=False, **choice)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    return recall(rank_choices(*made, log, options, every)[len(log.user) // 10 :], 10)


def require(name: str) -> Any:
    """The path of a real log; skips the test where there is none."""
    path = real(name)
    if path is None:
        pytest.skip(f"STREAMMF_TEST_DATA names no folder with {name}")
    return path


@pytest.mark.data
def test_movielens_ratings_are_foretold_better_than_by_river() -> None:
    log = read(require(MOVIELENS))
    ours, vectors, peer = ratings(log), ratings(log, stack=False), rivers(log, bias_rate=0.025, rate=0.05)
    assert ours.rmse <= 0.925
    assert ours.mae <= 0.728
    assert vectors.rmse <= peer.rmse - 0.01
    assert vectors.mae <= peer.mae - 0.01


@pytest.mark.data
@pytest.mark.parametrize("seed", [1, 2])
def test_the_stack_foretells_movielens_better_than_each_of_its_parts(seed: int) -> None:
    found = ratings_by_part(read(require(MOVIELENS)), seed=seed)
    assert found["served"].rmse <= min(found["biases"].rmse, found["factors"].rmse) - 0.008
    assert found["served"].mae <= min(found["biases"].mae, found["factors"].mae) - 0.008


@pytest.mark.data
def test_movielens_choices_are_ranked_better_than_by_popularity() -> None:
    log = read(require(MOVIELENS), at_least=5)
    ours = hits(log)
    assert ours >= 0.145
    assert ours >= 1.25 * hits(log, **POPULARITY)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "every", "bar"), [("yoochoose-100k-sample", 7, 2.0), ("amazon-musical-instruments-5core", 1, 1.05)]
)
def test_the_same_defaults_beat_popularity_on_other_logs(name: str, every: int, bar: float) -> None:
    log = read(require(f"{name}.csv.gz"))
    assert hits(log, every) >= bar * hits(log, every, **POPULARITY)


@pytest.mark.data
def test_the_same_defaults_foretell_ratings_of_a_tiny_sparse_log() -> None:
    found = ratings_by_part(read(require("amazon-musical-instruments-5core.csv.gz")))
    assert found["served"].rmse <= found["biases"].rmse
    assert found["served"].mae <= found["biases"].mae


def test_made_up_ratings_are_foretold_better_than_by_biases_or_by_river() -> None:
    log = made_up()
    ours, vectors = ratings(log), ratings(log, stack=False)
    biases = ratings(log, history=0, user_rate=0.0, item_rate=0.0, stack=False)
    assert ours.rmse <= vectors.rmse - 0.005
    assert vectors.rmse <= biases.rmse - 0.02
    assert ours.rmse <= rivers(log, bias_rate=0.025, rate=0.05).rmse - 0.02


def test_made_up_choices_are_ranked_better_than_by_popularity() -> None:
    log = made_up()
    assert hits(log) >= 1.3 * hits(log, **POPULARITY)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_a_log_of_one_type_is_ranked_better_than_by_popularity_whatever_the_type_weighs(weight: float) -> None:
    log = made_up()
    weighty = log._replace(weight=np.full(len(log.user), weight, np.float32))
    assert hits(weighty) >= 1.05 * hits(log, **POPULARITY)


@pytest.mark.parametrize(("bias_rate", "rate"), [(0.01, 0.01), (0.025, 0.025)])
def test_the_plain_setting_is_rivers_model(bias_rate: float, rate: float) -> None:
    path = real(MOVIELENS)
    log = read(path) if path else made_up()
    rates = {"bias_rate": 2 * bias_rate, "bias_prior": 0.5 / bias_rate, "user_rate": 2 * rate, "item_rate": 2 * rate}
    ours = ratings(log, **rates, **PLAIN)
    assert ours.rmse == pytest.approx(rivers(log, bias_rate, rate).rmse, abs=0.003)


def blended(log: Batch, share: float = 1.0) -> Any:
    """recall@10 of every method over a sample of the events after the first tenth."""
    options = LearningOptions(blend=True)
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    sample = np.random.default_rng(7).random(len(log.user)) < share
    sample[: len(log.user) // 10] = False
    ranks = rank_by_all(*made, log, options, sample)
    return dict(zip(METHODS, (ranks[ranks[:, 0] >= 0] < 10).mean(axis=0), strict=True))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "at_least", "share", "bar"),
    [
        ("ml-100k", 5, 1.0, 0.190),
        ("yoochoose-100k-sample", -np.inf, 0.15, 0.340),
        ("amazon-musical-instruments-5core", -np.inf, 1.0, 0.137),
    ],
)
def test_the_blend_beats_every_simple_method(name: str, at_least: float, share: float, bar: float) -> None:
    found = blended(read(require(f"{name}.csv.gz"), at_least), share)
    ours = found.pop("blend")
    assert ours >= bar
    assert ours >= 1.03 * max(found[method] for method in found if method.startswith(("popularity", "neighbours")))


@pytest.mark.data
@pytest.mark.parametrize(("name", "at_least"), [(MOVIELENS, 5), ("amazon-musical-instruments-5core.csv.gz", -np.inf)])
def test_the_order_of_events_within_one_timestamp_is_worth_nothing(name: str, at_least: float) -> None:
    log = read(require(name), at_least)
    found = []
    for seed in range(5):
        order = np.lexsort((np.random.default_rng(seed).random(len(log.user)), log.time))
        shuffled = Batch(*(column[order] for column in log))
        found.append(blended(shuffled._replace(offset=log.offset))["blend"])
    error = np.sqrt(found[0] * (1 - found[0]) / len(log.user))
    assert max(found) - min(found) <= 2 * error
    assert abs(np.mean(found) - blended(log)["blend"]) <= 2 * error


def test_made_up_choices_are_ranked_better_by_the_blend_than_by_popularity() -> None:
    found = blended(made_up(events=15_000))
    assert found["blend"] >= 1.2 * found["popularity"]
