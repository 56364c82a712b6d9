"""Events from flags and from stdin to the embedded log."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streammf.cli.track import MOST_LINE_BYTES, command, read_lines
from streammf.errors import ExitCode, SourceError
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
    assert lines[3].startswith("streammf: 3 of 5 were no events and left out; the first: line 3: malformed: ")
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


@pytest.mark.parametrize("size", [1 << 20, 5_000_000])
def test_a_line_that_is_too_long_is_refused_like_any_other(tmp_path: Path, size: int) -> None:
    text = f'{{"user":"a","item":"x"}}\n{{"user":"b","item":"x","more":"{"y" * size}"}}\n{{"user":"c","item":"x"}}\n'
    done = streammf(tmp_path, "track", "--json", text=text)
    assert done.returncode == ExitCode.REFUSED
    assert json.loads(done.stdout) == {"written": 2, "refused": 1, "offsets": [["log", 0, 1]]}
    assert done.stderr.startswith("line 2: malformed: more than 1,048,321 bytes\n")
    assert learned_from(tmp_path).users == ["a", "c"]


def test_of_a_line_without_an_end_no_more_is_kept_than_an_event_may_have() -> None:
    reading, writing = os.pipe()

    def send() -> None:
        with os.fdopen(writing, "wb") as writer:
            writer.write(b"\n \n" + b"x" * 4_000_000)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    ((number, line),) = [numbered for batch in read_lines(reading) for numbered in batch]
    sender.join()
    os.close(reading)
    assert (number, len(line)) == (3, MOST_LINE_BYTES + 1)


def test_what_was_written_before_an_error_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "streammf.toml").write_text(f'[source]\nkind = "log"\npath = "{tmp_path / "log"}"\n')
    lines = [b'{"user":"%d","item":"x"}' % n for n in range(3)]

    def breaking(descriptor: int) -> Iterator[list[tuple[int, bytes]]]:
        yield list(enumerate(lines, 1))
        raise SourceError("the stream broke")

    monkeypatch.setattr("streammf.cli.track.read_lines", breaking)
    monkeypatch.setattr("sys.stdin", (tmp_path / "streammf.toml").open())
    with pytest.raises(SourceError, match="broke"):
        command.main(["--config", str(tmp_path / "streammf.toml"), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"written": 3, "refused": 0, "offsets": [["log", 0, 2]]}


def test_a_value_that_is_no_number_is_said_in_plain_words(tmp_path: Path) -> None:
    done = streammf(tmp_path, "track", "--user", "a", "--item", "b", "--value", "nan")
    assert done.returncode == ExitCode.USAGE
    assert "--value is a number, not nan" in done.stderr


def test_flags_say_what_an_item_or_a_user_is(tmp_path: Path) -> None:
    streammf(tmp_path, "track", "--type", "item", "--item", "i", "--category", "a", "--category", "b", "--hidden")
    streammf(tmp_path, "track", "--type", "user", "--user", "u", "--category", "s", "--ts", "5")
    found = learned_from(tmp_path)
    assert [(one.kind, one.id, one.attributes.categories, one.attributes.hidden) for one in found.controls] == [
        ("item", "i", ("a", "b"), True), ("user", "u", ("s",), False),
    ]  # fmt: skip
    assert found.controls[1].time == 5


def test_flags_ask_to_forget(tmp_path: Path) -> None:
    streammf(tmp_path, "track", "--type", "forget_user", "--user", "u")
    streammf(tmp_path, "track", "--type", "delete_item", "--item", "i")
    assert [(one.kind, one.id) for one in learned_from(tmp_path).controls] == [("forget_user", "u"), ("delete_item", "i")]


@pytest.mark.parametrize(
    "flags", [["--type", "item", "--user", "u"], ["--type", "user", "--user", "u", "--hidden"],
              ["--type", "user", "--user", "u", "--item", "i"], ["--user", "u", "--item", "i", "--category", "a"],
              ["--type", "forget_user", "--item", "i"], ["--type", "delete_item", "--item", "i", "--category", "a"]],
)  # fmt: skip
def test_flags_that_are_about_nothing_are_refused(tmp_path: Path, flags: list[str]) -> None:
    assert streammf(tmp_path, "track", *flags).returncode == ExitCode.USAGE
