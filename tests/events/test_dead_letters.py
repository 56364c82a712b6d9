"""Dead letters in a file: whole, in order, and none spoiled by what a crash left."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from streammf.errors import SourceError
from streammf.events.dead_letters import DeadLetterFile, headers
from streammf.events.event import Rejected
from streammf.events.source import Partition


def record(n: int, value: bytes | None = b'{"user": 1}') -> Rejected:
    return Rejected(Partition("events", 3), n, "id", "user: a number", value, b"k", 17)


def test_each_names_where_it_came_from_and_why_as_connect_does() -> None:
    assert headers(record(5)) == {
        "__connect.errors.topic": "events",
        "__connect.errors.partition": "3",
        "__connect.errors.offset": "5",
        "__connect.errors.connector.name": "streammf",
        "__connect.errors.task.id": "0",
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.class.name": "streammf.events.codec",
        "__connect.errors.exception.class.name": "streammf.id",
        "__connect.errors.exception.message": "user: a number",
    }


def test_a_file_has_a_line_for_each_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "dead.jsonl"
    for first in (0, 2):
        with closing(DeadLetterFile(path)) as file:
            file.send([(n, record(n, None if n == 3 else b'{"user": 1}')) for n in (first, first + 1)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["value"] == {"user": 1}
    assert lines[3]["value"] is None
    assert lines[2]["headers"] == headers(record(2))


def test_half_a_line_of_a_killed_process_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_text('{"number":0,"to')
    with closing(DeadLetterFile(path)) as file:
        file.send([(0, record(0))])
    half, whole = path.read_text().splitlines()
    assert half == '{"number":0,"to'
    assert json.loads(whole)["number"] == 0


def test_a_file_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("no folder")
    with pytest.raises(SourceError, match=r"dead_letters\.path"):
        DeadLetterFile(tmp_path / "blocked" / "dead.jsonl")
