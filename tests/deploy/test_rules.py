"""What promtool says of prometheus.yml and of the alerts."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy import files
from tests.programs import program

CASES = Path(__file__).parent / "alerts_test.yml"


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool", "Prometheus (Debian: prometheus)")


def test_prometheus_takes_its_configuration_and_the_alerts(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "config", files.PROMETHEUS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(list(files.alerts()))} rules found" in done.stdout


def test_every_alert_fires_for_its_fault_and_is_silent_in_a_healthy_hour(promtool: str) -> None:
    names = {alert.owner for alert in files.alerts()}
    for case in files.read_yaml(CASES)["tests"]:
        assert {each["alertname"] for each in case["alert_rule_test"]} == names
    done = subprocess.run([promtool, "test", "rules", CASES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
