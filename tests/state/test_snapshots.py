"""Snapshots: whole or refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from streammf.errors import StoreBusyError, StoreError
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.digest import digest
from streammf.state.options import StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store
from tests.state.models import change, commit, digest_after, meta, model

STEPS = 5


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of some commits, closed."""
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as opened:
        made, last = model(), meta()
        copier = Copier(*made)
        for step in range(1, STEPS + 1):
            change(made, step, most_new=40)
            last = commit(opened, copier, last, step)
    return tmp_path / "store"


@pytest.fixture
def snapshot(store: Path) -> Path:
    """A snapshot of it."""
    with Store.open_readonly(store) as opened:
        snapshots.create(opened, store.parent / "snapshot")
    return store.parent / "snapshot"


def test_the_manifest_says_what_the_snapshot_holds(snapshot: Path) -> None:
    manifest = json.loads((snapshot / "manifest.json").read_text())
    assert manifest["positions"] == [["events", 0, 10 * STEPS, "an id"], ["events", 1, 7 * STEPS, "an id"]]
    assert (manifest["events"], manifest["commit"], manifest["format"], manifest["objective"]) == (
        STEPS,
        STEPS,
        1,
        "ranking",
    )
    assert manifest["bytes"] == (snapshot / "data.mdb").stat().st_size
    assert sorted(path.name for path in snapshot.iterdir()) == ["data.mdb", "manifest.json"]
    assert [path.name for path in snapshot.parent.iterdir() if path.name.startswith(".")] == []


def test_a_restored_store_is_the_one_the_snapshot_was_taken_of(snapshot: Path, tmp_path: Path) -> None:
    snapshots.restore(snapshot, tmp_path / "back")
    with Store.open(StoreOptions(path=str(tmp_path / "back"))) as back:
        assert digest(back) == digest_after(STEPS)
        made = model()
        change(made, STEPS + 1)
        assert commit(back, Copier(*made), meta(), STEPS + 1).commit == STEPS + 1


def test_a_store_is_replaced_only_when_that_is_said(snapshot: Path, store: Path) -> None:
    with pytest.raises(StoreError, match="holds a store already"):
        snapshots.restore(snapshot, store)
    snapshots.restore(snapshot, store, overwrite=True)
    with Store.open_readonly(store) as opened:
        assert digest(opened) == digest_after(STEPS)


def test_a_store_that_somebody_owns_is_not_replaced(snapshot: Path, store: Path) -> None:
    with Store.open(StoreOptions(path=str(store))), pytest.raises(StoreBusyError, match=f"process {os.getpid()}"):
        snapshots.restore(snapshot, store, overwrite=True)


def test_one_flipped_bit_anywhere_is_refused_and_the_store_stays(snapshot: Path, store: Path, tmp_path: Path) -> None:
    data = snapshot / "data.mdb"
    whole = data.read_bytes()
    for place in range(0, len(whole), len(whole) // 20):
        data.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            snapshots.restore(snapshot, store, overwrite=True)
        with pytest.raises(StoreError, match="is damaged"):
            snapshots.opened(snapshot)
    with Store.open_readonly(store) as opened:
        assert digest(opened) == digest_after(STEPS)
    assert not (store / "restored.new").exists()


@pytest.mark.parametrize("damage", ["cut", "no data", "no manifest", "half a manifest", "another format"])
def test_a_snapshot_that_is_not_whole_is_refused(snapshot: Path, tmp_path: Path, damage: str) -> None:
    data, manifest = snapshot / "data.mdb", snapshot / "manifest.json"
    text = manifest.read_text()
    match damage:
        case "cut":
            os.truncate(data, data.stat().st_size // 2)
        case "no data":
            data.unlink()
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(text[: len(text) // 2])
        case "another format":
            manifest.write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(StoreError, match=r"snapshot"):
        snapshots.restore(snapshot, tmp_path / "back")
    assert not (tmp_path / "back" / "data.mdb").exists()


def test_a_snapshot_is_never_written_over_nor_opened_for_writing(snapshot: Path, store: Path) -> None:
    with Store.open_readonly(store) as opened, pytest.raises(StoreError, match="is there already"):
        snapshots.create(opened, snapshot)
    with pytest.raises(StoreError, match="is a snapshot"):
        Store.open(StoreOptions(path=str(snapshot)))
    with pytest.raises(StoreError, match="is a snapshot"):
        snapshots.restore(snapshot, snapshot, overwrite=True)
    assert sorted(path.name for path in snapshot.iterdir()) == ["data.mdb", "manifest.json"]


#: Makes, restores or removes a snapshot, and is killed before the n-th thing that it does to the disk.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from streammf.state import snapshots
from streammf.state.store import Store
doing, fatal, store, snapshot = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
done = 0
def counted(place, name):
    real = getattr(place, name)
    def step(*arguments, **more):
        global done
        done += 1
        if done == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    setattr(place, name, step)
for place, names in {
    Path: ("mkdir", "rename", "unlink", "write_bytes", "touch", "chmod"), snapshots: ("sync", "_hashed"), Store: ("copy",),
    shutil: ("rmtree",), os: ("unlink", "rmdir"),
}.items():
    for name in names:
        counted(place, name)
if doing == "create":
    with Store.open_readonly(store) as opened:
        snapshots.create(opened, snapshot)
elif doing == "restore":
    snapshots.restore(snapshot, store, overwrite=True)
else:
    snapshots.remove(snapshot)
print(done)
"""


def killed(doing: str, fatal: int, store: Path, snapshot: Path) -> bool:
    """Whether there was an n-th step to be killed before."""
    command = [sys.executable, "-c", KILLED, doing, str(fatal), str(store), str(snapshot)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
    return ended.returncode != 0


def test_killed_at_any_step_a_snapshot_is_there_whole_or_not_at_all(store: Path, tmp_path: Path) -> None:
    steps = 0
    while killed("create", steps + 1, store, tmp_path / "all" / f"{steps}"):
        steps += 1
    assert steps >= 8
    assert [snapshots.verify(path).events for path, _ in snapshots.listing(tmp_path / "all")].count(STEPS) >= 1
    with Store.open_readonly(store) as opened:
        assert digest(opened) == digest_after(STEPS)
    assert all(not path.name.startswith(".") for path in (tmp_path / "all").iterdir()), "the last one swept what others left"


def test_killed_at_any_step_a_restore_leaves_the_old_store_or_the_new_one(snapshot: Path, store: Path) -> None:
    made, last = model(), meta()
    with Store.open(StoreOptions(path=str(store))) as opened:
        recover(opened, *made)
        change(made, STEPS + 1)
        commit(opened, Copier(*made, since=last.counts), opened.meta() or last, STEPS + 1)
        newer = digest(opened)
    steps, seen = 0, []
    while killed("restore", steps + 1, store, snapshot):
        steps += 1
        with Store.open_readonly(store) as opened:
            seen.append(digest(opened))
    assert steps >= 5
    assert set(seen) == {newer, digest_after(STEPS)}
    assert sorted(seen, key=seen.index) == seen, "once it is the new one it stays so"
    assert snapshots.verify(snapshot)
    assert not (store / "restored.new").exists()


def test_killed_at_any_step_a_removal_leaves_no_half_snapshot(store: Path, tmp_path: Path) -> None:
    steps = 0
    with Store.open_readonly(store) as opened:
        while True:
            target = tmp_path / "all" / f"{steps}"
            snapshots.create(opened, target)
            if not killed("remove", steps + 1, store, target):
                break
            assert not target.exists() or snapshots.verify(target)
            steps += 1
        assert steps >= 3
        snapshots.create(opened, tmp_path / "all" / "last")
    assert all(not path.name.startswith(".") for path in (tmp_path / "all").iterdir())


def test_what_another_process_is_writing_is_not_swept_away(store: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    with snapshots._aside(tmp_path / "all" / "slow") as aside:
        (tmp_path / "all" / ".strange.7.new").mkdir()
        (tmp_path / "all" / ".strange.7.new" / "file").write_text("not ours")
        with Store.open_readonly(store) as opened:
            snapshots.create(opened, tmp_path / "all" / "quick")
        assert aside.is_dir()
        assert (tmp_path / "all" / ".strange.7.new" / "file").exists()


def test_a_full_disk_is_named_and_nothing_is_left_of_the_snapshot(store: Path, small_tmpfs: Path) -> None:
    (small_tmpfs / "ballast").write_bytes(bytes((8 << 20) - (48 << 10)))
    with Store.open_readonly(store) as opened:
        with pytest.raises(StoreError, match=r"the file system is full, \d+ KiB are left"):
            snapshots.create(opened, small_tmpfs / "one")
        assert [path.name for path in small_tmpfs.iterdir()] == ["ballast"]
        (small_tmpfs / "ballast").unlink()
        assert snapshots.create(opened, small_tmpfs / "one").events == STEPS


def test_a_restore_onto_a_full_disk_is_named_and_leaves_no_store(snapshot: Path, small_tmpfs: Path) -> None:
    (small_tmpfs / "ballast").write_bytes(bytes((8 << 20) - (48 << 10)))
    with pytest.raises(StoreError, match=r"cannot restore into .*: the file system is full"):
        snapshots.restore(snapshot, small_tmpfs / "store")
    assert not list((small_tmpfs / "store").glob("data*"))


def test_a_store_without_a_commit_has_no_snapshot(tmp_path: Path) -> None:
    empty = Store.open(StoreOptions(path=str(tmp_path / "store")))
    with empty, pytest.raises(StoreError, match="holds no model yet"):
        snapshots.create(empty, tmp_path / "snapshot")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_snapshots_are_listed_by_time(store: Path, tmp_path: Path) -> None:
    with Store.open_readonly(store) as opened:
        made = [tmp_path / "all" / snapshots.usual_name() for _ in range(3)]
        for path in made:
            snapshots.create(opened, path)
    (tmp_path / "all" / "something else").mkdir()
    assert sorted(path for path, _ in snapshots.listing(tmp_path / "all")) == made
    assert {manifest.events for _, manifest in snapshots.listing(tmp_path / "all")} == {STEPS}


def test_snapshots_of_a_store_that_is_being_written_hold_one_commit_each(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    command = [sys.executable, "-m", "tests.state.models", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            for line in writer.stdout:
                if line == "committed 3\n":
                    break
            with Store.open_readonly(folder) as opened:
                manifests = [snapshots.create(opened, tmp_path / str(n)) for n in range(3)]
        finally:
            writer.kill()
    for n, manifest in enumerate(manifests):
        assert manifest.positions[0].next == 10 * manifest.events
        with snapshots.opened(tmp_path / str(n)) as copy:
            assert digest(copy) == digest_after(manifest.events)


@pytest.mark.parametrize("spoilt", [{"peers": -11}, {"factors": 0}, {"history": -1}])
def test_a_snapshot_of_dimensions_that_no_model_has_is_refused(snapshot: Path, spoilt: dict[str, int]) -> None:
    described = snapshots.read_manifest(snapshot)
    made = msgspec.structs.replace(described, dimensions=described.dimensions | spoilt)
    with pytest.raises(StoreError, match="which no model has: use another snapshot"):
        snapshots.require_ours(made, None)
