"""Events from flags and from stdin to the embedded log."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from streammf.errors import ExitCode
from streammf.events.codec import decode
from streammf.events.event import Columns
from streammf.events.log import LogSource
from tests.cli.commands import answer, environment, streammf
from tests.waiting import wait_for


def learned_from(folder: Path) -> Columns:
    """What a trainer would read from the log there."""
    with closing(LogSource(folder / "streammf-data" / "log")) as source:
        records = source.poll(1_000, 10)
        assert records is not None
        return decode(records, source.partitions, {"click", "rating"})


def test_flags_write_one_event_stamped_now(tmp_path: Path) -> None:
    before = int(time.time() * 1000)
    assert answer(tmp_path, "track", "--user", "ann", "--item", "é") == {
        "written": 1,
        "refused": 0,
        "offsets": [["log", 0, 0]],
    }
    found = learned_from(tmp_path)
    assert (found.users, found.items, found.types, found.values.tolist()) == (["ann"], ["é"], ["click"], [1.0])
    assert before <= found.times[0] <= time.time() * 1000


def test_flags_say_type_value_and_time(tmp_path: Path) -> None:
    streammf(tmp_path, "track", "--user", "a", "--item", "b", "--type", "rating", "--value", "4.5", "--ts", "123")
    found = learned_from(tmp_path)
    assert (found.types, found.values.tolist(), found.times.tolist()) == (["rating"], [4.5], [123])


def test_good_lines_are_written_and_bad_ones_named_by_number(tmp_path: Path) -> None:
    odd = '{"user":"c","item":"y","type":"odd"}'
    text = f'{{"user":"a","item":"x"}}\n\nnonsense\n{{"user":"b"}}\n{odd}\n{{"user":"d","item":"z"}}'
    done = streammf(tmp_path, "track", "--json", text=text)
    assert done.returncode == ExitCode.REFUSED
    assert json.loads(done.stdout) == {"written": 2, "refused": 3, "offsets": [["log", 0, 1]]}
    lines = done.stderr.splitlines()
    assert [line.split(":")[:2] for line in lines[:3]] == [
        ["line 3", " malformed"],
        ["line 4", " missing"],
        ["line 5", " unknown_type"],
    ]
    assert lines[3] == "streammf: 3 of 5 were no events and left out"
    assert learned_from(tmp_path).users == ["a", "d"]


def test_an_event_of_flags_that_is_none_is_refused(tmp_path: Path) -> None:
    done = streammf(tmp_path, "track", "--user", "a" * 300, "--item", "b")
    assert done.returncode == ExitCode.REFUSED
    assert done.stderr.startswith("event 1: id: ")
    assert streammf(tmp_path, "track", "--user", "a").returncode == ExitCode.USAGE


def test_no_event_at_all_is_no_error(tmp_path: Path) -> None:
    assert answer(tmp_path, "track") == {"written": 0, "refused": 0, "offsets": []}


def test_each_line_of_a_stream_is_durable_before_the_next_is_waited_for(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streammf", "track"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        for user in ("a", "b"):
            os.write(process.stdin.fileno(), json.dumps({"user": user, "item": "x"}).encode() + b"\n")
            wait_for(lambda: learned_from(tmp_path).users[-1] == user, f"the event of {user} in the log")  # noqa: B023
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    done = streammf(tmp_path, "track", text="x" * 3_000_000)
    assert done.returncode == ExitCode.SOURCE
    assert "line 1 has more than 1048576 bytes" in done.stderr
