"""What is said of a log: every number by hand, and the verdict by its rule."""

from pathlib import Path

import numpy as np
import pytest

from streammf.evaluation.profile import exponent, mistaken, profile, verdict
from streammf.learning.options import LearningOptions
from tests.evaluation import logs

SMALL = """user,item,value,timestamp,type
a,x,1,100,click
b,x,1,300,view
a,y,1,200,click
a,x,1,400,click
a,z,1,400,purchase
c,z,oops,500,click
"""


def test_every_number_of_a_small_log(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_text(SMALL)
    found = profile(logs.read(path, LearningOptions()), LearningOptions())
    assert (found.events, found.users, found.items, found.rejected) == (5, 2, 3, 1)
    assert found.why_rejected.startswith("event 6: value (")
    assert found.sparsity == pytest.approx(1 - 4 / 6)
    assert (found.since, found.until) == (100_000, 400_000)
    assert found.types == {"click": 3, "view": 1, "purchase": 1}
    assert found.values == {"1": 5}
    assert found.repeats == pytest.approx(1 / 5)
    assert found.late == pytest.approx(1 / 5)
    assert found.tied == pytest.approx(2 / 5)
    assert found.head == pytest.approx(3 / 5)
    assert found.exponent is None


def test_the_exponent_of_a_power_law_is_found() -> None:
    chance = np.random.default_rng(2)
    counts = np.floor(4.5 * (1 - chance.random(20_000)) ** (-1 / 1.2) + 0.5).astype(int)
    found = exponent(counts)
    assert found is not None
    assert abs(found - 2.2) < 0.05


@pytest.mark.parametrize(
    ("events", "users", "items", "sparsity", "head", "suits", "word"),
    [
        (1_000_000, 10_000, 5_000, 0.995, 0.8, "yes", "99.50%"),
        (9_999, 1_000, 500, 0.995, 0.8, "no", "use neighbours or popularity"),
        (1_000_000, 500, 2_000, 0.6, 0.8, "no", "dense: 40%"),
        (1_000_000, 10_000, 5_000, 0.95, 0.8, "doubtful", "neighbours may do as well"),
        (1_000_000, 10_000, 5_000, 0.995, 0.3, "doubtful", "no power law"),
        (20_000, 15_000, 500, 0.995, 0.8, "doubtful", "1.3 events a user"),
        (20_000, 500, 15_000, 0.998, 0.8, "doubtful", "1.3 events an item"),
    ],
)
def test_the_verdict_names_its_rule(
    events: int, users: int, items: int, sparsity: float, head: float, suits: str, word: str
) -> None:
    found, why = verdict(events, users, items, sparsity, head, "ranking")
    assert found == suits
    assert word in "; ".join(why)


def test_a_log_of_the_other_kind_is_refused_with_the_way_out(tmp_path: Path) -> None:
    ranking, rating = LearningOptions(), LearningOptions(objective="rating")
    stars, clicks = logs.ratings(tmp_path), logs.clicks(tmp_path)
    assert "say --objective rating, or --positive-from 4" in mistaken(logs.read(stars, ranking), ranking)
    assert mistaken(logs.read(stars, rating), rating) == ""
    liked = LearningOptions(positive_from=4.0)
    assert mistaken(logs.read(stars, liked), liked) == ""
    assert "--objective ranking" in mistaken(logs.read(clicks, rating), rating)
    assert mistaken(logs.read(clicks, ranking), ranking) == ""
    none = LearningOptions(positive_from=7.0)
    assert "no event in ratings.csv is positive" in mistaken(logs.read(stars, none), none)
