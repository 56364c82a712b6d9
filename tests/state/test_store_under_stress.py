"""The store while others read it, copy it, stand still, die, and cut it off."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import lmdb
import pytest

from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.store import Store
from tests.state.models import change, commit, meta, model
from tests.state.stores import OPEN, PIPES, READING, elsewhere, filled, options, put


def test_commits_go_on_while_another_thread_reads_and_each_sees_its_own_moment(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)) as store, ThreadPoolExecutor(1) as reader:
        made, last = model(), meta()
        copier = Copier(*made)
        change(made, 1)
        last = commit(store, copier, last, 1)
        reading, go_on = Event(), Event()

        def read() -> tuple[int, int]:
            with store.read() as moment:
                first = moment.meta()
                reading.set()
                assert go_on.wait(60)
                second = moment.meta()
            assert first is not None
            assert second is not None
            return first.commit, second.commit

        seen = reader.submit(read)
        assert reading.wait(60)
        for step in range(2, 6):
            change(made, step)
            last = commit(store, copier, last, step)
        go_on.set()
        assert seen.result(60) == (1, 1)
        assert last.commit == 5


def test_a_map_grows_under_load_and_no_reader_of_any_process_sees_it(tmp_path: Path) -> None:
    """A small map, a writer that fills it, readers in this process and in two others, and copies all the while."""
    store_path = tmp_path / "store"
    with Store.open(options(store_path, map_gib=1 / 4096)) as store, ThreadPoolExecutor(2) as threads:
        made, last = model(), meta()
        copier = Copier(*made)
        change(made, 1)
        last = commit(store, copier, last, 1)
        done = Event()

        def read() -> int:
            times = 0
            while not done.is_set():
                meta_of_it = store.meta()
                assert meta_of_it is not None
                times += 1
            return times

        def copy() -> int:
            times = 0
            while not done.is_set():
                snapshots.create(store, tmp_path / "copies" / str(times))
                times += 1
            return times

        others = [subprocess.Popen([sys.executable, "-c", READING, str(store_path)], text=True, **PIPES) for _ in range(2)]
        try:
            for other in others:
                assert other.stdout
                assert other.stdout.readline() == "reading\n"
            here = [threads.submit(read), threads.submit(copy)]
            for step in range(2, 25):
                change(made, step, most_new=600)
                last = commit(store, copier, last, step)
            assert store._environment.info()["map_size"] >= 4 << 20
        finally:
            done.set()
            said = [other.communicate("enough\n", timeout=60) for other in others]
        assert all(future.result(60) > 1 for future in here)
        assert [(other.returncode, errors) for other, (_, errors) in zip(others, said, strict=True)] == [(0, "")] * 2
        assert [snapshots.verify(path).commit for path in sorted((tmp_path / "copies").iterdir())]


def test_a_file_that_is_cut_while_it_is_open_is_an_error_and_not_a_dead_process(tmp_path: Path) -> None:
    filled(tmp_path, steps=3, most_new=2000)
    for opening, use in (
        (OPEN, "store.write([])"),
        (OPEN, "store.meta()"),
        ("Store.open_readonly(Path(sys.argv[1]))", "store.meta()"),
    ):
        code = (
            f"import os, shutil\nshutil.copytree(sys.argv[1], sys.argv[2])\nsys.argv[1] = sys.argv[2]\nstore = {opening}\n"
            f"os.truncate(store.path / 'data.mdb', 8192)\n{use}"
        )
        ended = elsewhere(code, tmp_path, tmp_path.with_name(f"{tmp_path.name}-{use[6:10]}-{opening[6:14]}"))
        assert "StoreError: the data file of" in ended.stderr, (ended.returncode, ended.stderr)
        assert "to 8,192 bytes while it was open: restore a snapshot" in ended.stderr
        assert ended.returncode == 1


@pytest.mark.parametrize("library", [1])
def test_a_file_of_lmdb_1_0_is_refused_and_left_as_it_was(tmp_path: Path, library: int) -> None:
    with lmdb.open(str(tmp_path), lib_version=library) as newer, newer.begin(write=True) as transaction:
        transaction.put(b"key", b"value")
    content = (tmp_path / "data.mdb").read_bytes()
    for code in (OPEN, "Store.open_readonly(Path(sys.argv[1]))"):
        ended = elsewhere(code, tmp_path)
        assert ended.returncode == 1
        assert "StoreError" in ended.stderr
        assert "version" in ended.stderr.splitlines()[-1]
    assert (tmp_path / "data.mdb").read_bytes() == content


def test_a_reader_that_was_killed_holds_nothing_back_after_the_next_commit(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store.open(options(tmp_path)) as store:
        for _ in range(5):
            with subprocess.Popen([sys.executable, "-c", READING, str(tmp_path), "hold"], text=True, **PIPES) as reader:
                assert reader.stdout
                assert reader.stdout.readline() == "reading\n"
                reader.kill()
        oldest = store.oldest_reader()
        assert oldest is not None
        store.write([])
        put(store, b"n", bytes(4))
        assert store.oldest_reader() is None


def test_a_reader_that_stands_still_is_named_with_how_far_it_is_behind(tmp_path: Path) -> None:
    filled(tmp_path)
    with (
        Store.open(options(tmp_path)) as store,
        subprocess.Popen([sys.executable, "-c", READING, str(tmp_path), "hold"], text=True, **PIPES) as reader,
    ):
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        reader.send_signal(signal.SIGSTOP)
        try:
            for n in range(7):
                put(store, b"n", bytes([n, 0, 0, 0]))
            assert store.oldest_reader() == (reader.pid, 7)
        finally:
            reader.kill()


def test_writing_reading_and_copying_in_a_forked_child_are_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    uses = "lambda: store.write([]), store.meta, lambda: store.copy(Path(sys.argv[1]) / 'copy')"
    code = f"""
import os
store = {OPEN}
for use in ({uses}):
    pid = os.fork()
    if pid == 0:
        try:
            use()
        except Exception as error:
            print(error, flush=True)
            os._exit(42)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
store.write([])
"""
    ended = elsewhere(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("open it again after a fork") == 3
