from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streammf.counters.block import Block
from streammf.events.event import Event
from streammf.learning.compiling import ready
from streammf.learning.learner import learner
from streammf.learning.methods import names
from streammf.learning.options import LearningOptions
from streammf.learning.standing import SERVED_NAME, standing
from streammf.state.options import StoreOptions
from streammf.state.snapshots import create, opened
from streammf.state.store import Store
from streammf.trainer.quality import Quality, quality_families
from tests.learning.arrays import model
from tests.learning.worlds import made_up
from tests.trainer.sources import ListedSource
from tests.trainer.test_loop import stored_digest, train

SMALL: dict[str, Any] = {"factors": 4, "history": 4, "recent": 200, "measure_every": 1}
KINDS: list[dict[str, Any]] = [{"blend": True, "neighbours": 8, "peers": 4}, {"blend": False}, {"objective": "rating"}]


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def events(many: int, kind: str) -> list[Event]:
    log = made_up(events=many, users=30, items=40)
    columns = zip(log.user.tolist(), log.item.tolist(), log.value.tolist(), log.time.tolist(), strict=True)
    return [Event(user=f"u{user}", item=f"i{item}", type=kind, value=value, ts=time) for user, item, value, time in columns]


@pytest.mark.parametrize("kind", KINDS)
def test_measures_and_guard_are_the_same_after_batches_and_restarts(tmp_path: Path, kind: dict[str, Any]) -> None:
    options = LearningOptions(**{**SMALL, **kind, "measure_window": 30.0})
    log = events(600, "rating" if options.objective == "rating" else "click")
    train(tmp_path / "whole", ListedSource(log), options)
    for name, most in (("ones", 1), ("sevens", 7)):
        train(tmp_path / name, ListedSource(log, most), options)
    for end in (1, 250, 251, 600):
        train(tmp_path / "restarted", ListedSource(log[:end]), options)
    digests = {name: stored_digest(tmp_path / name) for name in ("whole", "ones", "sevens", "restarted")}
    assert len(set(digests.values())) == 1, digests
    unmeasured = LearningOptions(**{**SMALL, **kind, "measure_every": 0})
    train(tmp_path / "unmeasured", ListedSource(log), unmeasured)
    assert stored_digest(tmp_path / "unmeasured") != digests["whole"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gauges_say_what_the_table_says(kind: dict[str, Any]) -> None:
    options, log = LearningOptions(**{**SMALL, **kind}), made_up(events=2_000, users=40, items=60)
    made = model(options, 40, 60, 2_000)
    learner(options)(*made, log)
    block = Block.private(quality_families(options))
    Quality(block, options).look(made.state)
    found = standing(made.state, options)
    assert block.value("measured_events") == found.measured > 100
    assert block.value("serving", found.serving) == 1
    assert sum(block.value("serving", method) for method in names(options)) == 1
    for window, methods in found.measures.items():
        assert set(methods) == {*names(options), SERVED_NAME}
        for method, measures in methods.items():
            for measure, value in measures.items():
                assert block.value("prequential", measure, method, window) == value
                assert np.isfinite(value)
    for method, worse in found.worse_than.items():
        assert block.value("worse_than", method) == worse
    if options.objective == "ranking":
        assert 0 < block.value("lists", "coverage") <= 1
        assert 0 <= block.value("lists", "long_tail") <= 1
        assert 0 < block.value("lists", "diversity") < 2
    if options.blends:
        assert block.value("blend_weight", "age", "all") == found.weights["all"]["age"] != 0.3


def test_series_are_bounded_whatever_is_learned() -> None:
    for kind in KINDS:
        many = sum(len(list(family.series())) for family in quality_families(LearningOptions(**kind)))
        assert many <= 150


def test_nothing_measured_is_nothing_said() -> None:
    options = LearningOptions(blend=True, factors=4)
    found = standing(model(options, 1, 1, 1).state, options)
    assert (found.serving, found.measured, found.measures, found.leads, found.lists) == ("blend", 0, {}, {}, {})
    block = Block.private(quality_families(options))
    Quality(block, options).look(model(options, 1, 1, 1).state)
    assert block.value("serving", "blend") == 1


def test_a_snapshot_holds_the_measures(tmp_path: Path) -> None:
    options = LearningOptions(**SMALL, blend=True, neighbours=8, peers=4)
    train(tmp_path, ListedSource(events(300, "click")), options)
    with closing(Store.open(StoreOptions(path=str(tmp_path / "store")))) as store:
        create(store, tmp_path / "snapshot")
    with opened(tmp_path / "snapshot") as copy:
        meta = copy.meta()
        assert meta is not None
        assert any(line.startswith("measures.total") for line in meta.layout)
