"""Network file systems are refused, by what statfs says."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streammf.errors import StoreError
from streammf.state import filesystem
from streammf.state.options import StoreOptions
from streammf.state.store import Store

MOUNTS = "36 35 {device} / /data rw,noatime shared:1 - {kind} somewhere rw\n"


def saying(number: int) -> Callable[..., Any]:
    """A C library whose statfs says this magic number."""

    class Library:
        def statfs(self, path: bytes, answer: Any) -> int:
            ctypes.memmove(answer, number.to_bytes(ctypes.sizeof(ctypes.c_long), "little"), ctypes.sizeof(ctypes.c_long))
            return 0

    return lambda *_, **__: Library()


@pytest.mark.parametrize(("number", "name"), filesystem.NETWORK.items())
def test_a_store_on_a_network_file_system_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", saying(number))
    with pytest.raises(StoreError, match=rf"network file system \({name}\).*store.allow_network = true"):
        Store.open(StoreOptions(path=str(tmp_path / "store")))
    assert not list((tmp_path / "store").iterdir())


def test_a_reader_of_such_a_store_is_refused_too_and_both_may_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", saying(0x6969))
    Store.open(StoreOptions(path=str(tmp_path), allow_network=True)).close()
    with pytest.raises(StoreError, match=r"network file system \(NFS\)"):
        Store.open_readonly(tmp_path)
    Store.open_readonly(tmp_path, allow_network=True).close()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("fuse.sshfs", "fuse.sshfs"), ("fuse.glusterfs", "fuse.glusterfs"), ("fuse.bindfs", ""), ("fuseblk", "")],
)
def test_a_file_system_in_user_space_is_judged_by_the_mount_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    device = tmp_path.stat().st_dev
    table = MOUNTS.format(device=f"{device >> 8 & 0xFFF}:{device & 0xFF | device >> 12 & 0xFFF00}", kind=kind)
    read = Path.read_text
    monkeypatch.setattr(ctypes, "CDLL", saying(filesystem.FUSE))
    monkeypatch.setattr(Path, "read_text", lambda path, *a: table if path.name == "mountinfo" else read(path, *a))
    assert filesystem.network_name(tmp_path) == name


def test_a_file_system_in_user_space_that_no_mount_table_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", saying(filesystem.FUSE))
    monkeypatch.setattr(filesystem, "mount_type", lambda _: "")
    assert filesystem.network_name(tmp_path) == "FUSE"


def test_the_kernel_s_own_answer_is_understood(small_tmpfs: Path, tmp_path: Path) -> None:
    assert filesystem.kind(small_tmpfs) == filesystem.TMPFS
    assert filesystem.network_name(small_tmpfs) == ""
    assert filesystem.mount_type(small_tmpfs) == "tmpfs"
    shown = subprocess.run(["stat", "-f", "-c", "%t", tmp_path], capture_output=True, text=True, check=True).stdout
    assert filesystem.kind(tmp_path) == int(shown, 16)
