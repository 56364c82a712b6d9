"""The short form of `scripts/fuzz`: some hundred inputs for everything that reads bytes of others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.fuzzing.__main__ import NAMES
from scripts.fuzzing.engines import by_hypothesis, changed
from scripts.fuzzing.target import Target
from scripts.fuzzing.targets import TARGETS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_good_is_read_and_what_is_made_of_it_is_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    for data in TARGETS[name].good:
        TARGETS[name].feed(data)
    tried = by_hypothesis(TARGETS[name], seed=1, runs=200, seconds=0.0, kept=tmp_path / "fault")
    assert not tried.fault
    assert tried.inputs >= 200
    assert len(tried.outcomes) > 1
    assert sum(tried.outcomes.values()) == tried.inputs


def test_what_raises_is_a_fault_and_its_input_is_kept(tmp_path: Path) -> None:
    def feed(data: bytes) -> str:
        if b"7" in data:
            raise KeyError("7")
        return "read"

    tried = by_hypothesis(Target("sevens", (b"a7b",), feed), seed=1, runs=1000, seconds=0.0, kept=tmp_path / "fault")
    assert tried.fault == "KeyError: '7'"
    assert (tmp_path / "fault").read_bytes() == b"7"  # the smallest that does


def test_the_seed_gives_the_inputs(tmp_path: Path) -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def feed(data: bytes) -> str:
            seen.append(data)
            return "read"

        by_hypothesis(Target("bytes", (b"abc",), feed), seed, 100, 0.0, tmp_path / "fault")
        return seen

    assert inputs(1) == inputs(1) != inputs(2)


def test_changes_cut_put_in_and_replace() -> None:
    assert changed(b"abcdef", [(1, 2, b"X"), (0, 0, b"Y")]) == b"YaXdef"


@pytest.mark.timeout(300)
def test_the_command_counts_what_it_tried_by_whichever_engine_is_there() -> None:
    command = [sys.executable, "-m", "scripts.fuzzing", "--runs", "1000", "--seed", "3", "--json"]
    for more in ((), ("--engine", "hypothesis")):
        done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)["targets"]
        assert list(found) == list(NAMES)
        assert all(one["inputs"] >= 900 and one["fault"] == "" for one in found.values()), found
