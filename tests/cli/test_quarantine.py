"""`streammf quarantine`: what it prints, what it writes to the log again, and what it refuses."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from streammf.cli.quarantine import command
from streammf.errors import ConfigurationError, RequestError, StoreBusyError, StoreError
from streammf.events.event import Rejected
from streammf.events.log import LogSink, LogSource
from streammf.events.source import Partition
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import meta, model

DAY = 86_400_000
STORE = Path("streammf-data/store")
LOG = Path("streammf-data/log")


def aside(offset: int, reason: str, value: bytes | None, key: bytes | None = b"u", partition: int = 0) -> Rejected:
    return Rejected(Partition("log", partition), offset, reason, f"why {offset}", value, key, 1_700_000_000_000 + offset * DAY)


RECORDS = [
    aside(0, "malformed", b"not JSON \x1b[31m"),
    aside(1, "unknown_type", b'{"user": "u",\n "item": "i", "type": "shout", "value": 1.50}'),
    aside(2, "malformed", b"\xff\xfe\x00"),
    aside(3, "unknown_type", b'{"user":"v","item":"i","type":"cry"}', None, 1),
    aside(4, "null", None),
]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreOptions:
    """A store with RECORDS aside, where the configuration looks for it."""
    monkeypatch.chdir(tmp_path)
    options = StoreOptions(path=str(STORE))
    with Store.open(options) as opened:
        opened.commit(Copier(*model()).take(), meta(), RECORDS)
    LogSink(LOG, create=True).close()
    return options


def said(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@contextmanager
def started(script: str) -> Iterator[int]:
    """The number of another process that runs this script, once it has printed a line; it ends with its input."""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(60)


def kept() -> list[int]:
    return [json.loads(line)["number"] for line in said("list", "--json").splitlines()]


def logged() -> list[tuple[bytes | None, bytes | None, int]]:
    with closing(LogSource(LOG)) as source:
        records = source.poll(1000, 0)
        if records is None:
            return []
        return [(records.key(i), value, records.timestamp(i)) for i, value in enumerate(records.values)]


def test_a_list_is_a_line_a_record_and_obeys_no_terminal() -> None:
    lines = said("list").splitlines()
    assert len(lines) == len(RECORDS)
    assert lines[0].startswith("0  2023-11-14T22:13:20+00:00  log/0@0  malformed: why 0  not JSON \\x1b[31m")
    assert lines[4].endswith("null")


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (["--reason", "malformed"], [0, 2]),
        (["--reason", "malformed", "--reason", "null"], [0, 2, 4]),
        (["--partition", "log"], [0, 1, 2, 3, 4]),
        (["--partition", "log/1"], [3]),
        (["--partition", "other"], []),
        (["--since", "2023-11-17"], [3, 4]),
        (["--since", "2023-11-16T23:13:20+01:00", "--reason", "malformed"], [2]),
    ],
)
def test_a_list_is_narrowed_by_reason_partition_and_time(flags: list[str], numbers: list[int]) -> None:
    assert [json.loads(line)["number"] for line in said("list", "--json", *flags).splitlines()] == numbers


def test_json_holds_every_byte_of_a_record() -> None:
    found = [json.loads(line) for line in said("list", "--json").splitlines()]
    assert found[1]["value"] == {"user": "u", "item": "i", "type": "shout", "value": 1.5}
    assert '"value":1.50' in said("list", "--json")
    assert found[0]["text"] == "not JSON \x1b[31m"
    assert found[2]["base64"] == "//4A"
    assert found[3]["key"] is None
    assert found[4]["value"] is None
    assert json.loads(said("show", "1", "--json")) == found[1]


def test_one_record_is_shown_whole() -> None:
    shown = said("show", "1")
    assert "reason: unknown_type" in shown
    assert '  "item": "i",' in shown
    assert "\x1b" not in said("show", "0")
    with pytest.raises(StoreError, match="record 17 is not in the quarantine"):
        said("show", "17")


def test_what_is_requeued_is_in_the_log_as_it_was_and_no_longer_aside() -> None:
    assert said("requeue", "--reason", "unknown_type") == "2 records requeued to the embedded log streammf-data/log\n"
    assert logged() == [
        (b"u", RECORDS[1].value, RECORDS[1].timestamp),
        (b"", RECORDS[3].value, RECORDS[3].timestamp),
    ]
    assert kept() == [0, 2, 4]


def test_what_was_edited_is_requeued_as_it_stands_in_the_list(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in said("list", "--json").splitlines()]
    lines[1]["value"]["type"] = "click"
    lines[4]["value"] = {"user": "u", "item": "i"}
    (tmp_path / "edited").write_text("\n".join(json.dumps(lines[n]) for n in (1, 2, 4)))
    said("requeue", "--edited", "edited")
    values = [value or b"" for _, value, _ in logged()]
    assert json.loads(values[0])["type"] == "click"
    assert values[1] == RECORDS[2].value
    assert json.loads(values[2]) == {"user": "u", "item": "i"}
    assert kept() == [0, 3]


@pytest.mark.parametrize("line", ["{", '{"number":1}', '{"number":1,"base64":"?"}', '{"value":{}}'])
def test_an_edited_line_that_says_nothing_changes_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "edited").write_text('{"number":0,"text":"x"}\n' + line)
    with pytest.raises(ConfigurationError, match="line 2 of the edited records"):
        said("requeue", "--edited", "edited")
    assert len(kept()) == len(RECORDS)


def test_a_null_value_is_not_requeued_and_nothing_beside_it() -> None:
    with pytest.raises(RequestError, match="record 4 is a null value"):
        said("requeue", "--all")
    assert (len(kept()), logged()) == (len(RECORDS), [])


def test_records_of_another_log_are_not_written_to_this_one() -> None:
    with pytest.raises(ConfigurationError, match="has no topic log, only other"):
        said("requeue", "0", "--path", "other")
    assert len(kept()) == len(RECORDS)


def test_what_is_dropped_is_gone() -> None:
    assert said("drop", "0", "2", "99") == "2 records dropped\n"
    assert kept() == [1, 3, 4]
    assert said("drop", "--all") == "3 records dropped\n"
    assert kept() == []


@pytest.mark.parametrize("verb", ["drop", "requeue"])
def test_nothing_is_changed_where_nobody_said_what(verb: str) -> None:
    result = CliRunner().invoke(command, [verb])
    assert result.exit_code == 2
    assert "say which records" in result.stderr


@pytest.mark.parametrize("verb", ["drop", "requeue"])
def test_beside_a_trainer_it_can_be_looked_at_and_not_changed(store: StoreOptions, verb: str) -> None:
    script = (
        "import sys; from streammf.state.store import Store; from streammf.state.options import StoreOptions;"
        f"opened = Store.open(StoreOptions(path={store.path!r})); print(flush=True); sys.stdin.read()"
    )
    with started(script) as pid:
        assert len(kept()) == len(RECORDS)
        with pytest.raises(StoreBusyError, match=f"owned by process {pid}"):
            said(verb, "--all")
    assert len(kept()) == len(RECORDS)


def test_no_store_is_made_by_looking_for_one(tmp_path: Path) -> None:
    for arguments in (["list"], ["drop", "--all"], ["requeue", "--all"]):
        with pytest.raises(StoreError, match="there is no store at elsewhere"):
            said(*arguments, "--store", "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
