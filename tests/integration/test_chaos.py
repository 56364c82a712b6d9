"""The short form of `scripts/chaos`: half a minute of faults, then everything is counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import missing

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(500)]

ROOT = Path(__file__).parents[2]


def test_half_a_minute_of_faults_loses_nothing_applies_nothing_twice_and_fails_no_query() -> None:
    command = [sys.executable, "-m", "scripts.turmoil", "--minutes", "0.5", "--seed", "2", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    if "no Kafka broker" in done.stderr:
        missing(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert sum(found["faults"].values()) >= 5
    assert found["events applied and durable"] == found["events written"] > 0
    assert json.loads(found["audit"])["same"] is True
    assert found["queries"]["answered"] > 0
    assert found["failures"] == []
