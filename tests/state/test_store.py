"""The store: one transaction, one owner, and what is said when it cannot be."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

from streammf.errors import StoreBusyError, StoreError
from streammf.state.changes import Copier
from streammf.state.digest import digest
from streammf.state.meta import FORMAT
from streammf.state.options import StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store
from tests.state.models import change, commit, digest_after, meta, model, numbered
from tests.state.stores import OPEN, elsewhere, filled, options, put


def test_a_commit_is_read_back_with_what_the_store_alone_knows(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)) as store:
        assert store.meta() is None
        made = model()
        change(made, 2)
        written = commit(store, Copier(*made), meta(), 2)
        assert store.meta() == written
        assert (written.commit, written.owner_epoch, written.rejected, written.fleet_generation) == (1, 1, 2, 0)
        assert written.counts == made.memory.counts.tolist()


def test_a_writer_that_fails_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    before = filled(tmp_path)
    with Store.open(options(tmp_path)) as store:

        def spoil(transaction: "lmdb.Transaction[bytes]") -> None:
            transaction.put(b"meta", b"nonsense", db=store._databases["meta"])

        def fail(_: object) -> None:
            raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            store.write([spoil, fail])
        assert digest(store) == before


def test_a_second_owner_is_told_the_first_ones_process(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)):
        with pytest.raises(StoreBusyError, match=rf"owned by process {os.getpid()}:"):
            Store.open(options(tmp_path))
        ended = elsewhere(OPEN, tmp_path)
        assert f"StoreBusyError: the store {tmp_path} is owned by process {os.getpid()}: stop it first" in ended.stderr
    assert elsewhere(OPEN, tmp_path).returncode == 0


def test_an_owner_whose_store_was_taken_over_writes_nothing(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)) as stale:
        made = model()
        change(made, 1)
        copier = Copier(*made)
        last = commit(stale, copier, meta(), 1)
        (tmp_path / "owner.lock").unlink()
        assert elsewhere(OPEN, tmp_path).returncode == 0
        change(made, 2)
        with pytest.raises(StoreBusyError, match=r"was taken over \(owner epoch 2, ours is 1\)"):
            commit(stale, copier, last, 2)
        assert stale.meta() == last
        assert digest(stale) == digest_after(1)


def test_a_reader_sees_the_last_commit_while_the_owner_writes(tmp_path: Path) -> None:
    read = "from streammf.state.digest import digest\nprint(digest(Store.open_readonly(Path(sys.argv[1]))))"
    with Store.open(options(tmp_path)) as store:
        made = model()
        change(made, 1)
        commit(store, Copier(*made), meta(), 1)
        assert elsewhere(read, tmp_path).stdout.strip() == digest(store)


def test_a_full_map_is_made_larger_and_the_commit_is_whole(tmp_path: Path) -> None:
    with Store.open(options(tmp_path, map_gib=1 / 4096)) as store:
        made, last = model(), meta()
        copier = Copier(*made)
        for step in range(1, 13):
            change(made, step, most_new=600)
            last = commit(store, copier, last, step)
        assert store._environment.info()["map_size"] > 2**20
        back = model()
        assert recover(store, *back) == last
    with Store.open(options(tmp_path, map_gib=1 / 4096)) as store:
        assert store.meta() == last


def test_only_the_newest_rejected_records_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    everything = numbered(20)
    for every in (1, 3, 20):
        with Store.open(options(tmp_path / str(every), quarantined=4)) as store:
            made, last, done = model(), meta(), 0
            for step in range(1, 21):
                if step % every == 0 or step == 20:
                    last = commit(store, Copier(*made, since=last.counts), last, step, done + 1)
                    done = step
            with store.read() as reading:
                assert list(reading.quarantined()) == everything[-4:]
            assert last.rejected == len(everything)


def test_a_store_does_not_work_in_a_forked_child(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)) as store:
        pid = os.fork()
        if pid == 0:  # the child says by its exit code what it met, and runs nothing else of pytest
            try:
                store.meta()
            except StoreError:
                os._exit(42)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=rf"cannot make {tmp_path}/file/store: Not a directory"):
        Store.open(options(tmp_path / "file" / "store"))
    with pytest.raises(StoreError, match=r"there is no store at"):
        Store.open_readonly(tmp_path)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size`: what a full disk does to LMDB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_the_next_commit_succeeds_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled(tmp_path)
    with Store.open(options(tmp_path)) as store:
        made = model()
        last = recover(store, *made)
        assert last
        change(made, 4, most_new=3000)
        changes = Copier(*made, since=last.counts).take()
        full = SimpleNamespace(f_bavail=3, f_frsize=4096)
        with files_up_to((tmp_path / "data.mdb").stat().st_size), monkeypatch.context() as patched:
            patched.setattr(os, "statvfs", lambda _: full)
            with pytest.raises(StoreError, match=r"the file system is full, 12 KiB are left"):
                store.commit(changes, last)
        assert digest(store) == before
        assert store.commit(changes, last).commit == last.commit + 1


@pytest.mark.parametrize("part", [0.9, 0.5, 0.1])
def test_a_cut_off_file_is_an_error_and_not_a_dead_process(tmp_path: Path, part: float) -> None:
    filled(tmp_path, steps=3, most_new=2000)
    data = tmp_path / "data.mdb"
    os.truncate(data, int(data.stat().st_size * part) // 4096 * 4096)
    for code in (OPEN, "Store.open_readonly(Path(sys.argv[1]))"):
        ended = elsewhere(code, tmp_path)
        assert ended.returncode == 1
        assert f"StoreError: {data} is cut off after" in ended.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\3\4 something else" * 1000, "is not an LMDB file"),
        (
            b"\0" * 24 + (0xBEEFC0DE).to_bytes(4, "little") + b"\0" * 9000,
            "is an LMDB file of another version or machine",
        ),
        (b"\0" * 16 + (0xBEEFC0DE).to_bytes(4, "little") + b"\7" * 9000, "was written by another version of LMDB"),
    ],
)
def test_a_foreign_data_file_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(StoreError, match=said):
        Store.open(options(tmp_path))
    assert (tmp_path / "data.mdb").read_bytes() == content


def test_an_lmdb_database_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), lib_version=0) as foreign, foreign.begin(write=True) as transaction:
        transaction.put(b"somebody", b"else")
    with pytest.raises(StoreError, match="but not a StreamMF store"):
        Store.open(options(tmp_path))
    with pytest.raises(StoreError, match="but not a StreamMF store"):
        Store.open_readonly(tmp_path)


def test_a_store_of_a_later_format_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store.open(options(tmp_path)) as store:
        put(store, b"format", (FORMAT + 1).to_bytes(8))
    with pytest.raises(StoreError, match=rf"is a store of format {FORMAT + 1}, this release reads format {FORMAT}"):
        Store.open(options(tmp_path))


def test_a_file_whose_last_pages_are_free_and_were_never_written_is_whole(tmp_path: Path) -> None:
    before = filled(tmp_path, steps=3, most_new=1500)
    data = tmp_path / "data.mdb"
    with Store.open(options(tmp_path)) as store:
        pages = data.stat().st_size // 4096
        with store._environment.begin(write=True) as transaction:
            junk = store._environment.open_db(b"junk", transaction)
            for n in range(2000):
                transaction.put(n.to_bytes(4), bytes(4000), db=junk)
        with store._environment.begin(write=True) as transaction:
            transaction.drop(junk)
        for n in range(4):  # what is in use moves to the free pages with the lowest numbers
            put(store, b"n", bytes([n]))
        last = store._environment.info()["last_pgno"]
    os.truncate(data, (last - 10) * 4096)
    with Store.open_readonly(tmp_path) as store:
        assert digest(store) == before
    os.truncate(data, pages // 2 * 4096)
    with pytest.raises(StoreError, match="is cut off after"):
        Store.open_readonly(tmp_path)


def test_a_store_that_is_removed_while_it_is_open_is_no_longer_written(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as store:
        (tmp_path / "store" / "data.mdb").unlink()
        with pytest.raises(StoreError, match=str(tmp_path / "store")):
            store.write([])
        (tmp_path / "store" / "data.mdb").write_bytes(b"another")
        with pytest.raises(StoreError, match="replaced"):
            store.write([])


def test_a_store_keeps_its_identity_and_two_stores_differ(tmp_path: Path) -> None:
    seen = []
    for folder in ("a", "a", "b"):
        with Store.open(options(tmp_path / folder)) as store, store.read() as reading:
            seen.append(reading.identity())
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0]) == 32
