"""`streammf doctor`: what it says of a store, and its exit code."""

import json
import os
from pathlib import Path

from tests.cli.commands import answer, streammf
from tests.state.stores import learned


def test_a_healthy_store_and_a_snapshot_are_called_so(tmp_path: Path) -> None:
    learned(tmp_path / "store")
    done = streammf(tmp_path, "doctor", "--store", "store")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "store: healthy; commit 1, 2,000 events, 200 users, 50 items\n"
    found = answer(tmp_path, "doctor", "--store", "store.snapshot")
    assert (found["healthy"], found["problems"], found["counts"]["item"]) == (True, [], 50)


def test_a_damaged_store_is_said_to_be_one_by_the_exit_code_too(tmp_path: Path) -> None:
    path = learned(tmp_path / "store")
    os.truncate(path / "data.mdb", 16384)
    done = streammf(tmp_path, "doctor", "--store", "store")
    assert done.returncode == 6
    assert "is cut off after 16,384 bytes" in done.stdout
    assert "store: problems: 1;" in done.stdout
    machine = streammf(tmp_path, "doctor", "--store", "store", "--json")
    assert machine.returncode == 6
    assert json.loads(machine.stdout)["healthy"] is False


def test_a_store_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    done = streammf(tmp_path, "doctor")
    assert done.returncode == 6
    assert "there is no store at streammf-data/store" in done.stdout


def test_a_log_that_cannot_be_asked_has_its_own_exit_code(tmp_path: Path) -> None:
    learned(tmp_path / "store")
    done = streammf(tmp_path, "doctor", "--store", "store", "--against-source")
    assert done.returncode == 4
    assert "the log cannot be asked: streammf-data/log is not an embedded log" in done.stdout
