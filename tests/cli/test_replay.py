"""A file of events into the embedded log."""

from pathlib import Path

import pytest

from streammf.errors import ExitCode
from tests.cli.commands import answer, streammf
from tests.cli.test_track import learned_from

LOG = """user,item,value,timestamp,type
a,x,1,1704067200,click
b,y,5,1704153600.5,rating
c,z,oops,1,click
c,z,1,1704240000,click
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.csv").write_text(LOG)
    return tmp_path


def test_a_file_is_copied_and_summed_up(folder: Path) -> None:
    done = answer(folder, "replay", "events.csv", "--to", "log")
    assert (done["written"], done["unreadable"], done["left_out"]) == (3, 1, 0)
    assert done["last_offsets"] == [["log", 0, 2]]
    found = learned_from(folder)
    assert found.users == ["a", "b", "c"]
    assert found.times.tolist() == [1_704_067_200_000, 1_704_153_600_500, 1_704_240_000_000]


@pytest.mark.parametrize(
    ("since", "until", "users"),
    [
        ("2024-01-02", "2024-01-03", ["b"]),
        ("1704153600.5", "1704240000.001", ["b", "c"]),
        ("2024-01-02T01:00:00+01:00", "2024-01-03T00:00:01", ["b", "c"]),
    ],
)
def test_a_time_is_a_date_in_utc_or_seconds(folder: Path, since: str, until: str, users: list[str]) -> None:
    answer(folder, "replay", "events.csv", "--to", "log", "--from", since, "--until", until)
    assert learned_from(folder).users == users


def test_what_was_left_out_is_said(folder: Path) -> None:
    done = streammf(folder, "replay", "events.csv", "--to", "log", "--from", "2024-01-03")
    assert done.stdout.startswith("1 events written to the embedded log streammf-data/log in ")
    assert "2 outside the chosen time" in done.stdout
    assert "1 were no events and left out; the first: record 2: value" in done.stderr


def test_the_flag_wins_over_a_file_that_says_kafka(folder: Path) -> None:
    (folder / "streammf.toml").write_text('[source]\nkind = "kafka"\ntopics = ["clicks"]\n')
    assert answer(folder, "replay", "events.csv", "--to", "log", "--limit", "1")["written"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "log", "--from", "yesterday"], ExitCode.USAGE, "'yesterday' is no date"),
        (["--to", "log", "--create", "4"], ExitCode.USAGE, "--create is for Kafka topics"),
        (["--to", "log", "--speed", "0"], ExitCode.USAGE, "--speed"),
        (["--to", "kafka", "--bootstrap", "127.0.0.1:1"], ExitCode.SOURCE, "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: list[str], code: ExitCode, message: str) -> None:
    settings = {"STREAMMF_SOURCE__CONNECT_SECONDS": "0.5"} if "kafka" in arguments else {}
    done = streammf(folder, "replay", "events.csv", *arguments, **settings)
    assert done.returncode == code
    assert message in done.stderr


def test_a_file_without_a_single_event_is_an_error(folder: Path) -> None:
    (folder / "none.jsonl").write_text('{"user": "a"}\n')
    done = streammf(folder, "replay", "none.jsonl", "--to", "log")
    assert done.returncode == ExitCode.SOURCE
    assert "there is no event in the file" in done.stderr
