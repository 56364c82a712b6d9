"""The ingest benchmark in its short form: that it measures what it says. Never how long anything takes."""

from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks import ingest, kernels
from scripts.benchmarks.child import Job, Part, measure
from scripts.benchmarks.data import zipf_events
from scripts.benchmarks.settings import FACTORS, Setting, learning
from streammf.learning.tables import Axis


def test_plain_has_the_gradient_steps_of_rivers_model() -> None:
    """Started from the same vectors, both foretell the same ratings."""
    river = pytest.importorskip("river")
    from scripts.benchmarks import peer_river

    events = zipf_events(2000, users=50, items=40)
    options = learning("plain")
    model = kernels.empty_model(options)
    kernels.registered(model, events)
    peer = peer_river.model()
    first = model.memory.state.items.factor
    for row, item in enumerate(model.items.names(np.arange(model.items.count, dtype=np.int32))):
        peer.i_latents[item] = first[row].astype(np.float64)
    for user in set(events.users):
        peer.u_latents[user] = np.zeros(FACTORS)
    ours = kernels.foretold(options, events)
    theirs = np.empty(len(events))
    for n, (user, item, value) in enumerate(zip(events.users, events.items, events.values.tolist(), strict=True)):
        theirs[n] = min(max(peer.predict_one(user=user, item=item), 1.0), 5.0)
        peer.learn_one(user=user, item=item, y=value)
    assert river
    # River's mean takes in the rating that is learned, and ours begins with one rating of 3: gone after some hundreds.
    assert np.abs(ours - theirs)[500:].max() < 0.1
    assert np.abs(ours - theirs)[500:].mean() < 0.01


@pytest.mark.parametrize("setting", ["plain", "rating", "ranking"])
def test_arrays_and_ids_learn_the_same(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    events, options = zipf_events(5000, users=300, items=200), learning(setting)
    models = [kernels.empty_model(options), kernels.empty_model(options)]
    made = iter(models)
    monkeypatch.setattr(kernels, "empty_model", lambda options: next(made))
    assert kernels.learn_arrays(options, events) > 0
    assert kernels.learn_ids(options, events) > 0
    arrays, ids = models
    assert arrays.events == ids.events == 5000
    items = int(ids.memory.counts[Axis.ITEM])
    assert np.array_equal(arrays.memory.state.items.factor[:items], ids.memory.state.items.factor[:items])


@pytest.mark.parametrize("part", ["arrays", "river", "isgd"])
def test_a_part_is_measured_in_a_process_of_its_own(part: Part) -> None:
    found = measure(Job(part=part, events=1000))
    assert found.number > 0
    assert found.busy > 0


def test_what_is_measured_before_and_after_counts_as_one_rate_of_both_times_together() -> None:
    assert ingest.both_sides([2.0, 6.0, 1.0, 1.0]) == [3.0, 1.0]


@pytest.mark.kafka
def test_a_short_run_finds_every_figure(kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The trainer's own check, that it has learned and committed exactly what was produced, is in it."""
    monkeypatch.setenv("STREAMMF_TEST_KAFKA", kafka)
    report = ingest.run("scripts/bench ingest", events=3000, runs=1, data=tmp_path)
    figures = {row.name: row.middle for row in report.rows}
    for setting in ("plain", "rating", "ranking"):
        assert figures[f"{setting}: whole trainer"] > 0
        assert figures[f"{setting}: kernels, ready arrays"] > 0
    assert figures["plain: trainer / bare loop"] == pytest.approx(
        figures["plain: whole trainer"] / figures["bare loop: consume, value, decode"]
    )
    assert any("MovieLens" in note for note in report.notes)
