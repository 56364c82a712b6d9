"""A log evaluated end to end, as people and as programs read it, and what is said of one that cannot be."""

import gzip
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
    compile_for(LearningOptions())
    compile_for(LearningOptions(objective="rating"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    logs.clicks(tmp_path)
    logs.ratings(tmp_path)
    return tmp_path


def test_a_program_reads_everything(folder: Path) -> None:
    found = answer(folder, "evaluate", "clicks.csv", "--every", "2", "--html", "page.html")
    assert found["profile"]["events"] == 2_500
    assert found["profile"]["suits"] == "no"
    assert found["learning"]["objective"] == "ranking"
    summary = found["summary"]
    assert summary["methods"][0]["name"] == "served"
    assert summary["measures"] == ["recall@10", "ndcg@10", "mrr@10"]
    assert 0 < summary["methods"][0]["figures"]["recall@10"]["value"] < 1
    assert summary["every"] == 2
    assert sum(part["events"] for part in summary["by_activity"]) == summary["tried"] > 300
    assert found["diagnosis"]["verdict"]


def test_the_report_is_one_file_that_asks_for_nothing(folder: Path) -> None:
    done = streammf(folder, "evaluate", "ratings.csv", "--objective", "rating", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    assert "report written to page.html" in done.stdout
    page = (folder / "page.html").read_text()
    assert not re.search(r"https?://|src=|<script|<link|@import|url\(", page)
    assert page.count("<svg") >= 5
    assert "StreamMF: rating on ratings.csv" in page
    assert "over-fitting is when" in page.lower()


def test_people_read_what_the_log_is_and_what_it_means(folder: Path) -> None:
    done = streammf(folder, "evaluate", "clicks.csv")
    assert done.returncode == 0, done.stderr
    for words in (
        "users, items",
        "Matrix factorisation does not suit this log: 2,500 events are fewer than 10,000",
        "served",
        "lists:",
    ):
        assert words in done.stdout


def test_a_holdout_is_not_learned_from(folder: Path) -> None:
    found = answer(folder, "evaluate", "ratings.csv", "--positive-from", "4", "--holdout", "0.25", "--every", "1")
    assert found["summary"]["holdout"] == 625
    assert found["slower"] is None


def test_an_embedded_log_and_a_packed_file_give_the_same_figures(folder: Path) -> None:
    (folder / "clicks.csv.gz").write_bytes(gzip.compress((folder / "clicks.csv").read_bytes()))
    assert streammf(folder, "replay", "clicks.csv", "--to", "log").returncode == 0
    found = [
        answer(folder, "evaluate", log)["summary"]["methods"] for log in ("clicks.csv", "clicks.csv.gz", "streammf-data/log")
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("log", "content", "more", "code", "message"),
    [
        ("none.csv", None, [], ExitCode.SOURCE, "none.csv does not exist"),
        ("empty.csv", "user,item,value,timestamp\n", [], ExitCode.SOURCE, "there is no event in empty.csv"),
        ("head.csv", "who,what\n1,2\n", [], ExitCode.SOURCE, "must begin with the header user,item,value,timestamp[,type]"),
        (
            "bad.csv",
            "user,item,value,timestamp\na,b,c,d\n",
            [],
            ExitCode.SOURCE,
            "the first record that is none: event 1: value (",
        ),
        ("ratings.csv", "", [], ExitCode.SOURCE, "say --objective rating, or --positive-from 4"),
        ("clicks.csv", "", ["--objective", "rating"], ExitCode.SOURCE, "there is no rating to foretell"),
        ("clicks.csv", "", ["--holdout", "1.5"], ExitCode.USAGE, "--holdout"),
        ("clicks.csv", "", ["--html", "no/where.html"], ExitCode.USAGE, "the folder no does not exist"),
        ("log.txt", "x", [], ExitCode.SOURCE, "*.csv or *.jsonl"),
        ("folder", None, [], ExitCode.SOURCE, "folder"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_a_line(
    folder: Path, log: str, content: str | None, more: list[str], code: ExitCode, message: str
) -> None:
    if content:
        (folder / log).write_text(content)
    if log == "folder":
        (folder / log).mkdir()
    done = streammf(folder, "evaluate", log, *more)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
