"""The short form of `scripts/chaos`: a minute of faults, then everything is counted."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from scripts.turmoil.faults import FAULTS
from scripts.turmoil.plan import plan
from tests.programs import missing

ROOT = Path(__file__).parents[2]


def planned(seed: int) -> list[tuple[float, str, float]]:
    return [(one.pause, one.name, one.chance.random()) for one in islice(plan(seed, list(FAULTS)), 3 * len(FAULTS))]


def test_the_seed_alone_gives_the_faults_their_order_and_what_they_draw() -> None:
    assert planned(1) == planned(1) != planned(2)
    for one, same in zip(plan(1, list(FAULTS)), islice(plan(1, list(FAULTS)), 20), strict=False):
        one.chance.random()  # however much a fault draws, those that follow are the same
        assert (one.pause, one.name) == (same.pause, same.name)


def test_each_fault_comes_once_before_any_comes_again() -> None:
    names = [name for _, name, _ in planned(1)]
    for first in range(0, len(names), len(FAULTS)):
        assert sorted(names[first : first + len(FAULTS)]) == sorted(FAULTS)


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_a_minute_of_faults_loses_nothing_applies_nothing_twice_and_fails_no_query() -> None:
    command = [sys.executable, "-m", "scripts.turmoil", "--minutes", "1", "--seed", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    if "no Kafka broker" in done.stderr:
        missing(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["sound"]
    assert found["in this order"] == [name for _, name, _ in planned(2)][: len(found["in this order"])]
    assert len(found["in this order"]) >= 5
    assert found["events in the log, applied and durable once each"] > 0
    assert found["records that are no events, in quarantine once each"] > 0
    assert json.loads(found["audit"])["same"] is True
    assert found["queries"]["answered"] > 0
    assert found["differences"] == found["failures"] == []
