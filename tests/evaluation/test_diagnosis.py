"""Each finding on a log that was made to show it, and none on a log that is fine."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from streammf.evaluation.diagnosis import Diagnosis
from streammf.evaluation.evaluate import evaluate
from streammf.evaluation.run import Plan
from streammf.evaluation.triers import compile_for
from streammf.learning.options import LearningOptions
from tests.evaluation import logs
from tests.learning.arrays import batch

PLAIN = LearningOptions(blend=False)
RATES = ("user_rate", "item_rate", "history_rate")


def diagnosed(path: Path, options: LearningOptions, every: int | None = 3) -> Diagnosis:
    compile_for(options)
    return evaluate(logs.read(path, options), options, Plan(every=every)).diagnosis


def found(path: Path, options: LearningOptions, every: int | None = 3) -> set[str]:
    return {finding.name for finding in diagnosed(path, options, every).findings}


def faster(options: LearningOptions, times: float) -> LearningOptions:
    return msgspec.structs.replace(options, **{name: times * getattr(options, name) for name in RATES})


def many(kind: Any, folder: Path) -> Path:
    path: Path = kind(folder, events=8_000, users=150, items=300)
    return path


def test_nothing_is_found_on_a_log_of_tastes(tmp_path: Path) -> None:
    said = diagnosed(many(logs.clicks, tmp_path), PLAIN)
    assert said.findings == []
    assert said.verdict.startswith("What serves is better than every other method by ")
    assert found(many(logs.ratings, tmp_path), LearningOptions(objective="rating"), 1) == set()


def test_rates_a_hundred_times_too_high_are_worse_than_popularity_and_named(tmp_path: Path) -> None:
    said = diagnosed(many(logs.clicks, tmp_path), faster(PLAIN, 100), 1)
    words = {finding.name: finding.words for finding in said.findings}
    assert set(words) == {"worse than popularity", "learning rate too high"}
    assert said.verdict.startswith("popularity alone is better than what serves: recall@10 ")
    assert "of the learning rates has recall@10 " in words["learning rate too high"]


@pytest.mark.parametrize("times", [20, 100])
def test_rates_of_ratings_that_are_too_high_are_worse_than_a_mean_and_named(tmp_path: Path, times: float) -> None:
    options = LearningOptions(objective="rating", stack=False, user_rate=0.04, item_rate=0.05, history_rate=0.02)
    assert found(many(logs.ratings, tmp_path), faster(options, times), 1) == {"worse than a mean", "learning rate too high"}


def test_people_of_whom_nothing_is_known_get_the_same_lists(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    items = np.minimum(chance.geometric(0.02, 4_000) - 1, 400)
    path = logs.write(tmp_path / "strangers.csv", batch(np.arange(4_000), items, time=1.6e12 + np.arange(4_000) * 1e4))
    assert found(path, PLAIN) == {"predictions all alike"}


def test_a_model_that_does_not_move_foretells_the_same_rating_for_all(tmp_path: Path) -> None:
    still: dict[str, Any] = dict.fromkeys((*RATES, "bias_rate"), 0.0) | {"bias_prior": 1e6}
    options = LearningOptions(objective="rating", stack=False, history=0, **still)
    assert "predictions all alike" in found(many(logs.ratings, tmp_path), options, 1)


def test_a_model_that_learns_noise_by_heart_is_over_fitted(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    pairs = chance.permutation(250 * 250)
    times = 1.6e12 + np.arange(len(pairs)) * 1000
    noise = batch(pairs // 250, pairs % 250, value=chance.integers(1, 6, len(pairs)), time=times)
    by_heart: dict[str, Any] = {"factors": 64, "regularisation": 0.0, "rehearsals": 4, "user_rate": 0.04, "item_rate": 0.04}
    options = LearningOptions(objective="rating", stack=False, history=0, **by_heart)
    assert found(logs.write(tmp_path / "noise.csv", noise), options, 1) == {"over-fitting", "worse than a mean"}
