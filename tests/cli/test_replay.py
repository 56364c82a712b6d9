"""A file of events into the embedded log."""

import gzip
import json
from contextlib import closing
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.events.log import LogSource
from tests.cli.commands import answer, streammf
from tests.cli.test_track import learned_from

LOG = """user,item,value,timestamp,type
a,x,1,1704067200,click
b,y,5,1704153600.5,rating
c,z,1,1704240000,click
"""
BAD_ROW = """user,item,value,timestamp,type
a,x,1,1704067200,click

c,z,oops,1,click
c,z,1,1704240000,click
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.csv").write_text(LOG)
    return tmp_path


def test_a_file_is_copied_and_summed_up(folder: Path) -> None:
    done = answer(folder, "replay", "events.csv", "--to", "log")
    assert (done["written"], done["unreadable"], done["left_out"]) == (3, 0, 0)
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
    assert done.returncode == 0


def test_lines_that_are_no_events_are_left_out_and_named_by_their_place_in_the_file(folder: Path) -> None:
    (folder / "bad.csv").write_text(BAD_ROW)
    done = streammf(folder, "replay", "bad.csv", "--to", "log", "--json")
    assert done.returncode == ExitCode.REFUSED
    said = json.loads(done.stdout)
    assert (said["written"], said["unreadable"], said["last_offsets"]) == (2, 1, [["log", 0, 1]])
    assert said["why_unreadable"].startswith("line 4: value (")
    assert done.stderr.startswith("streammf: 1 of 3 were no events and left out; the first: line 4: value (")
    assert learned_from(folder).users == ["a", "c"]


def test_what_was_written_of_a_file_that_is_cut_off_is_reported(folder: Path) -> None:
    rows = "".join(f"user{n},item{n * n % 9973},1,{n}\n" for n in range(50_000))
    packed = gzip.compress(f"user,item,value,timestamp\n{rows}".encode())
    (folder / "cut.csv.gz").write_bytes(packed[: len(packed) * 3 // 4])
    done = streammf(folder, "replay", "cut.csv.gz", "--to", "log", "--json")
    assert done.returncode == ExitCode.SOURCE
    assert "cut.csv.gz cannot be read on" in done.stderr
    said = json.loads(done.stdout)
    assert said["written"] > 0
    assert said["last_offsets"] == [["log", 0, said["written"] - 1]]
    with closing(LogSource(folder / "streammf-data" / "log")) as log:
        assert list(log.ends().values()) == [said["written"]]


def test_events_without_a_time_are_told_what_to_do(folder: Path) -> None:
    (folder / "untimed.jsonl").write_text('{"user": "a", "item": "x"}\n')
    done = streammf(folder, "replay", "untimed.jsonl", "--to", "log")
    assert "line 1: time (no ts, and the record has no time of its own: give the event `ts`, ms since the epoch)" in done.stderr


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.jsonl", '{"user": "a"}\n'),
        ("empty.jsonl", ""),
        ("head.csv", "user,item,value,timestamp\n"),
        ("bad.csv", "user,item,value,timestamp\na,b\n"),
    ],
)
def test_a_file_without_a_single_event_is_the_same_error_in_every_form(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    done = streammf(folder, "replay", name, "--to", "log")
    assert done.returncode == ExitCode.SOURCE
    assert "there is no event in the file" in done.stderr
