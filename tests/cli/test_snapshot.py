"""`streammf snapshot`: what it prints and how it ends."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from streammf.cli.snapshot import command
from streammf.errors import ConfigurationError, DataLossError, ExitCode, StoreError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink, LogSource
from streammf.learning.tables import Axis
from streammf.state.changes import Changes, Copier
from streammf.state.meta import Position
from streammf.state.options import StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store
from tests.state.models import RANKING, change, commit, digest_after, meta, model
from tests.state.object_store import BUCKET, s3_server


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of one commit, where the configuration looks for it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "streammf-data" / "store"
    with Store.open(StoreOptions(path=str(path))) as opened:
        made = model(dimensions=RANKING)
        change(made, 1)
        commit(opened, Copier(*made), meta(dimensions=RANKING), 1)
    return path


def said(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_digest_of_a_store_and_of_its_snapshot_are_printed_and_equal() -> None:
    said("create", "copy")
    assert said("digest") == said("digest", "copy") == digest_after(1, RANKING) + "\n"
    assert said("digest", "--side", "items") != said("digest")


def test_a_snapshot_that_nobody_named_is_listed(store: Path) -> None:
    created = json.loads(said("create", "--json"))
    assert Path(created["path"]).parent == Path("streammf-data/snapshots")
    assert said("list").startswith(created["path"])
    assert json.loads(said("list", "--json")) == created


#: As the store's model was made.
SETTINGS = {
    "STREAMMF_LEARNING__FACTORS": "4",
    "STREAMMF_LEARNING__HISTORY": "3",
    "STREAMMF_LEARNING__RECENT": "50",
    "STREAMMF_LEARNING__NEIGHBOURS": "5",
    "STREAMMF_LEARNING__PEERS": "3",
    "STREAMMF_LEARNING__ATTRIBUTES": "6",
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def test_a_snapshot_that_the_trainer_would_refuse_is_refused_with_the_setting() -> None:
    said("create", "copy")
    with pytest.raises(ConfigurationError, match=r"learning.factors is 32, but the store was made with 4"):
        said("restore", "copy", "--overwrite")


@pytest.mark.usefixtures("settings")
def test_a_store_is_restored_where_it_is_told(tmp_path: Path) -> None:
    said("create", "copy")
    with pytest.raises(StoreError, match="--overwrite replaces it"):
        said("restore", "copy")
    said("restore", "copy", "--overwrite")
    said("restore", "copy", "--store", "elsewhere")
    assert said("digest", "--store", "elsewhere") == said("digest")


def log(events: int) -> str:
    """An embedded log where the configuration looks for it; its id."""
    sink = LogSink(Path("streammf-data/log"), create=True)
    for n in range(events):
        sink.append(b"", encode_json(Event(user="u", item="i", ts=n)), n)
    sink.close()
    source = LogSource(Path("streammf-data/log"))
    identity = source.topic_ids()["log"]
    source.close()
    return identity


def learned_up_to(store: Path, position: int, identity: str) -> None:
    """Say that the store stands at this position of that log."""
    with Store.open(StoreOptions(path=str(store))) as opened:
        found = opened.meta()
        assert found
        counts = [found.counts[axis] if axis != Axis.PARTITION else 1 for axis in Axis]
        at = [Position("log", 0, position, identity)]
        opened.commit(Changes(counts, (0, 0), [], [], []), msgspec.structs.replace(found, positions=at, events=1))


@pytest.mark.usefixtures("settings")
def test_latest_is_the_newest_good_one_and_what_was_passed_over_is_said(store: Path, tmp_path: Path) -> None:
    good, bad = (json.loads(said("create", "--json"))["path"] for _ in range(2))
    (Path(bad) / "data.mdb").write_bytes(b"nonsense")
    result = CliRunner().invoke(command, ["restore", "latest", "--store", "back"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"passed over {bad}: the snapshot {bad} is damaged" in result.stderr
    assert result.stdout == f"back: 1 events restored from {good}\n"
    with pytest.raises(StoreError, match="is damaged"):
        said("restore", bad, "--store", "again")
    assert not Path("again/data.mdb").exists()


@pytest.mark.usefixtures("settings")
def test_positions_that_the_log_no_longer_holds_are_said_before_anybody_relies_on_them(store: Path) -> None:
    identity = log(10)
    learned_up_to(store, 10, identity)
    good = json.loads(said("create", "--json"))["path"]
    learned_up_to(store, 25, identity)
    ahead = json.loads(said("create", "--json"))["path"]
    listed = said("list", "--against-source").splitlines()
    assert "LOST" not in listed[0]
    assert "LOST: 15 events are lost: the log streammf-data/log ends at 10, position 25 was asked for" in listed[1]
    assert json.loads(said("list", "--against-source", "--json").splitlines()[1])["lost"]
    result = CliRunner().invoke(command, ["verify", "--against-source"])
    assert result.exit_code == ExitCode.DATA_LOSS
    assert result.output.splitlines()[0] == f"{good}  whole"
    assert f"{ahead}  whole, but LOST: 15 events are lost" in result.output
    with pytest.raises(DataLossError, match=r"15 events are lost.*; --accept-data-loss restores it all the same"):
        said("restore", ahead, "--overwrite")
    assert said("restore", "latest", "--overwrite").endswith(f"restored from {good}\n")
    said("restore", ahead, "--overwrite", "--accept-data-loss")


@pytest.mark.usefixtures("settings")
def test_a_log_that_is_not_there_does_not_hinder_a_restore_and_is_said() -> None:
    said("create", "copy")
    result = CliRunner().invoke(command, ["restore", "copy", "--overwrite"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "not known whether the log still holds its positions" in result.stderr
    assert not Path("streammf-data/log").exists()


def test_each_snapshot_is_verified_and_a_damaged_one_sets_the_exit_code() -> None:
    one, two = (json.loads(said("create", "--json"))["path"] for _ in range(2))
    assert said("verify") == f"{one}  whole\n{two}  whole\n"
    assert said("verify", Path(one).name) == f"{one}  whole\n"
    (Path(one) / "data.mdb").unlink()
    (Path(two) / "manifest.json").write_text("{}")
    result = CliRunner().invoke(command, ["verify", "--json"])
    assert result.exit_code == ExitCode.STORE
    found = [json.loads(line) for line in result.output.splitlines()]
    assert [(each["path"], each["good"]) for each in found] == [(two, False), (one, False)]
    assert "DAMAGED: the manifest" in CliRunner().invoke(command, ["verify", two]).output
    assert "DAMAGED" not in CliRunner().invoke(command, ["list"]).output.splitlines()[1]


def test_what_moved_since_a_snapshot_is_told(store: Path) -> None:
    said("create", "before")
    with Store.open(StoreOptions(path=str(store))) as opened:
        made = model(dimensions=RANKING)
        recover(opened, *made)
        found = opened.meta()
        assert found
        change(made, 2)
        commit(opened, Copier(*made, since=found.counts), found, 2)
    lines = said("diff", "before").splitlines()
    assert lines[0] == "events  1 -> 2, rejected 1 -> 3"
    assert "position of events/0  10 -> 20" in lines
    assert any(line.startswith("users.factor  ") and " moved by " in line for line in lines)
    told = json.loads(said("diff", "before", "--json"))
    assert told["events"] == [1, 2]


def test_a_snapshot_goes_to_an_object_store_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as variables:
        for name, value in {**variables, **SETTINGS, "STREAMMF_STORE__SNAPSHOTS": f"s3://{BUCKET}/backups"}.items():
            monkeypatch.setenv(name, value)
        path = json.loads(said("create", "--json"))["path"]
        assert path.startswith(f"s3://{BUCKET}/backups/")
        assert said("list").startswith(path)
        assert said("verify") == f"{path}  whole\n"
        assert said("digest", path) == said("digest", "latest") == said("digest")
        said("create", f"s3://{BUCKET}/elsewhere/monday")
        for each in ("latest", path, f"s3://{BUCKET}/elsewhere/monday"):
            said("restore", each, "--store", f"back-{len(each)}")
            assert said("digest", "--store", f"back-{len(each)}") == digest_after(1, RANKING) + "\n"
