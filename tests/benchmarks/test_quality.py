"""The quality benchmark in its short form: that its figures are what they are called. Never how long anything takes."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks import quality
from scripts.benchmarks.ablation import DEFAULTS, VARIANTS, Variant, cost, costs, spared, switched, without
from scripts.benchmarks.baskets import BASKET, basket_events
from scripts.benchmarks.data import Events
from scripts.benchmarks.paired import mean, ratio, root_change
from scripts.benchmarks.ranked import K, answered, counted_of, ranked
from streammf.learning.blend_measures import METHODS
from streammf.learning.features import FEATURE_NAMES
from tests.learning.worlds import made_up


def quiet(done: int) -> None:
    assert done >= 0


def small(events: int = 2_000) -> Events:
    log = made_up(events=events, users=150, items=120)
    users, items = ([f"{what}{n}" for n in column.tolist()] for what, column in (("u", log.user), ("i", log.item)))
    return Events(users, items, log.value, log.time)


def written(folder: Path, events: Events, name: str) -> None:
    with gzip.open(folder / name, "wt") as file:
        file.write("user,item,value,timestamp\n")
        for user, item, value, time in zip(events.users, events.items, events.values, events.times, strict=True):
            file.write(f"{user},{item},{value:g},{time / 1000}\n")


def test_every_feature_is_left_out_alone_or_with_what_it_is_read_with() -> None:
    left_out = [variant for variant in VARIANTS if not variant.switched]
    features = range(len(FEATURE_NAMES))
    singly = {f for f in features if any(variant.features == without("", f).features for variant in left_out)}
    together = {FEATURE_NAMES.index(name) for name in ("factors", "peers")}
    assert singly | together == set(range(len(FEATURE_NAMES)))
    assert sum(variant.switched for variant in VARIANTS) == 7


def test_a_report_of_one_log_says_what_its_ranks_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = small()
    written(tmp_path, events, "log.csv.gz")
    variants = (without("timing", 9, 10), switched("with 32 peers", peers=32))
    monkeypatch.setattr(quality, "LOGS", (quality.Log("made up", "log.csv.gz", 2, 0.0, 1e9, half=True, share=0.5),))
    monkeypatch.setattr(quality, "RATED", (quality.RatedLog("made up", "log.csv.gz", None, None),))
    monkeypatch.setattr(quality, "VARIANTS", variants)
    monkeypatch.setattr(quality, "BASKETS", 4)
    report = quality.run("scripts/bench quality", tmp_path)
    rows = {row.name.strip(): row for row in report.rows}

    kept = quality.read(tmp_path / "log.csv.gz", 2)
    assert len(kept) == int((events.values >= 2).sum())
    ranks = ranked(kept, DEFAULTS, counted_of(len(kept)), quiet)
    hits = ranks[ranks[:, 0] >= 0] < K
    assert rows["made up: blend"].middle == hits[:, 0].mean()
    for method, name in enumerate(METHODS[1:], 1):
        assert rows[name].middle == hits[:, method].mean()
        assert rows[name].beside["change"] == pytest.approx(hits[:, method].mean() - hits[:, 0].mean())
    simple = [name for name in METHODS if name.startswith(("popularity", "neighbours"))]
    best = max(rows[name].middle for name in simple)
    assert rows["blend / best simple"].middle == hits[:, 0].mean() / best
    assert [rows[name].middle for name in simple if rows[name].note] == [best]
    assert 0.9 < rows["shortlist / every item"].middle < 1.1

    half = ranked(kept, DEFAULTS, counted_of(len(kept), 0.5), quiet, variants[0].features)[:, 0]
    row = rows["without timing"]
    assert row.middle == (half[half >= 0] < K).mean()
    assert row.beside["change"] == pytest.approx(row.middle - (ranks[half >= 0, 0] < K).mean())
    assert "spares µs" not in row.beside
    assert {"spares µs", "of all", "change", "its ±", "z"} <= set(rows["with 32 peers"].beside)
    assert rows["made up: RMSE"].beside["change"] < 0
    assert report.document()["command"] == "scripts/bench quality"


def test_answered_lists_of_a_small_catalogue_hold_what_ranking_every_item_puts_first() -> None:
    events = small(600)
    sample = counted_of(len(events), 0.5)
    held, personal = answered(events, DEFAULTS, sample, quiet)
    rank = ranked(events, DEFAULTS, sample, quiet)[:, 0]
    sure = (rank >= 0) & personal & (np.abs(rank - K + 0.5) > 1)  # equal scores at the border may stand either way
    assert sure.sum() > 100
    assert np.array_equal(held[sure], rank[sure] < K)


def test_a_ratio_and_a_change_have_the_errors_of_resampled_people() -> None:
    chance = np.random.default_rng(3)
    people = np.repeat(np.arange(200, dtype=np.int32), chance.integers(1, 30, 200))
    liking = chance.random(200)[people]
    above, below = (1.0 * (chance.random(len(people)) < liking * part) for part in (0.6, 0.5))
    drawn = []
    for _ in range(2_000):
        many = np.bincount(chance.integers(0, 200, 200), minlength=200)[people]
        drawn.append(((above * many).sum() / (below * many).sum(), ((above - below) * many).sum() / many.sum()))
    spread = np.std(drawn, axis=0)
    assert ratio(above, below, people).error == pytest.approx(spread[0], rel=0.1)
    assert mean(above - below, people).error == pytest.approx(spread[1], rel=0.1)
    assert mean(above - below, people).z > 2
    squares, others = above + 1.0, below + 2.0
    assert root_change(squares, others, people).value == pytest.approx(np.sqrt(squares.mean()) - np.sqrt(others.mean()))


def test_a_basket_is_of_different_items_of_one_person_at_one_moment() -> None:
    events, again, other = basket_events(40), basket_events(40), basket_events(40, seed=2)
    assert (events.items, events.users) == (again.items, again.users)
    assert events.items != other.items
    for first in range(0, len(events), BASKET):
        basket = slice(first, first + BASKET)
        assert len(set(events.items[basket])) == BASKET
        assert len(set(events.users[basket])) == len(set(events.times[basket].tolist())) == 1
    assert len(set(events.times.tolist())) == 40


def test_costs_of_several_variants_are_of_the_same_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    events = small(300)
    assert min(cost(events, DEFAULTS)) > 0
    off = Variant("off", switched("", least_squares=False).options)
    found = costs(events, [DEFAULTS, off.options])
    assert [len(runs) for runs in found] == [3, 3]
    fake = [[one._replace(whole=10.0 + n) for n, one in enumerate(found[0])], [one._replace(whole=4.0) for one in found[1]]]
    assert spared(*fake) == 7.0
