"""A search from the command line: two processes, a settings file, a page; gone on with, and refused where it cannot be."""

import json
import os
import re
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.evaluation.triers import compile_for
from streammf.learning.options import LearningOptions
from tests.cli.commands import answer, streammf
from tests.evaluation import logs

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Commands are given less time than compiling takes on a busy machine."""
    compile_for(LearningOptions(objective="rating"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    logs.ratings(tmp_path)
    return tmp_path


def test_two_processes_search_and_the_same_command_goes_on(folder: Path) -> None:
    found = answer(folder, "tune", "ratings.csv", "--objective", "rating", "--trials", "4", "--jobs", "2")
    assert found["measure"] == "rmse"
    assert len(found["trials"]) in {4, 5}
    assert sum(row["usual"] for row in found["trials"]) == 1
    settings = (folder / "streammf-tune" / "best.toml").read_text()
    assert 'objective = "rating"' in settings
    page = (folder / "streammf-tune" / "report.html").read_text()
    assert not re.search(r"https?://|src=|<script|<link|@import|url\(", page)
    assert page.count("<svg") == 1 + len(found["best"]["settings"])
    more = streammf(folder, "tune", "ratings.csv", "--objective", "rating", "--trials", "7", "--jobs", "1")
    assert more.returncode == 0, more.stderr
    assert "The best trials, and last the settings as they were" in more.stdout
    assert "settings to start from: streammf-tune/best.toml" in more.stdout
    used = json.loads(streammf(folder, "evaluate", "ratings.csv", "--json", "--config", "streammf-tune/best.toml").stdout)
    assert used["learning"]["objective"] == "rating"
    other = streammf(folder, "tune", "ratings.csv", "--positive-from", "4", "--trials", "4")
    assert other.returncode == ExitCode.CONFIGURATION
    assert "name another folder with --out" in other.stderr


def test_without_optuna_it_says_what_to_install(folder: Path) -> None:
    (folder / "optuna.py").write_text("raise ImportError\n")
    places = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = streammf(folder, "tune", "ratings.csv", PYTHONPATH=places)
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr.startswith("streammf: streammf tune needs Optuna: pip install 'streammf[tune]'")
