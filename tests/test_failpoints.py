"""Failpoints: off they do nothing; on they do what they are told, at the time they are told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streammf import failpoints
from streammf.errors import ConfigurationError
from streammf.failpoints import arm, reach


@pytest.fixture(autouse=True)
def _off() -> Iterator[None]:
    yield
    arm("")


def test_off_every_place_is_passed() -> None:
    arm("")
    reach("anything")


def test_a_place_acts_at_the_time_that_it_was_told_and_no_other_does() -> None:
    arm("a=raise@3,b=eio")
    reach("a")
    reach("a")
    reach("c")
    with pytest.raises(RuntimeError, match="failpoint a"):
        reach("a")
    reach("a")
    with pytest.raises(OSError, match="failpoint b"):
        reach("b")


def test_what_is_passed_is_recorded_in_order(tmp_path: Path) -> None:
    arm(f"record={tmp_path / 'places'}")
    for place in ("a", "b", "a"):
        reach(place)
    assert (tmp_path / "places").read_text() == "a\nb\na\n"


@pytest.mark.parametrize("described", ["a", "a=", "a=burn", "a=kill@", "a=kill@x"])
def test_what_cannot_be_understood_is_said(described: str) -> None:
    if described == "a=kill@":
        arm(described)  # the first time
        return
    with pytest.raises(ConfigurationError, match=failpoints.VARIABLE):
        arm(described)


@pytest.mark.parametrize(("action", "code"), [("exit", 1), ("kill", -signal.SIGKILL), ("sleep:0.001", 0)])
def test_the_variable_arms_a_process(action: str, code: int) -> None:
    program = "from streammf.failpoints import reach; reach('here')"
    environment = {**os.environ, failpoints.VARIABLE: f"here={action}"}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == code
