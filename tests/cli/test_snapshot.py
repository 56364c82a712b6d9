"""`streammf snapshot`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from streammf.cli.snapshot import command
from streammf.errors import StoreError
from streammf.state.changes import Copier
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, digest_after, meta, model


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of one commit, where the configuration looks for it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "streammf-data" / "store"
    with Store.open(StoreOptions(path=str(path))) as opened:
        made = model()
        change(made, 1)
        commit(opened, Copier(*made), meta(), 1)
    return path


def said(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_digest_of_a_store_and_of_its_snapshot_are_printed_and_equal() -> None:
    said("create", "copy")
    assert said("digest") == said("digest", "copy") == digest_after(1) + "\n"
    assert said("digest", "--side", "items") != said("digest")


def test_a_snapshot_that_nobody_named_is_listed(store: Path) -> None:
    created = json.loads(said("create", "--json"))
    assert Path(created["path"]).parent == Path("streammf-data/snapshots")
    assert said("list").startswith(created["path"])
    assert json.loads(said("list", "--json")) == created


def test_a_store_is_restored_where_it_is_told(tmp_path: Path) -> None:
    said("create", "copy")
    with pytest.raises(StoreError, match="--overwrite replaces it"):
        said("restore", "copy")
    said("restore", "copy", "--overwrite")
    said("restore", "copy", "--store", "elsewhere")
    assert said("digest", "--store", "elsewhere") == said("digest")
