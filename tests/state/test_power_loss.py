"""Power lost in the middle of a commit: any part of its sectors may have reached the disk before its last page.

The file before a commit and after it are compared; a disk at the loss of power is made of the first, with a part of what
changed from the second. LMDB writes a commit's pages where nothing that counts stands, syncs them, and then writes one of
its two head pages: until that one is there the last commit must stand as it stood. What no test on a running machine can
show, that a disk keeps what it says it has synced, is the disk's promise.
"""

import random
from pathlib import Path

import pytest

from streammf.state.changes import Copier
from streammf.state.digest import digest
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, meta, model

PAGE, SECTOR = 4096, 512
#: The first two pages are the heads, written in turns.
HEADS = 2
STEPS = 6
LOSSES = 25


def images(path: Path) -> list[tuple[bytes, str]]:
    """(the bytes of the data file, the digest) after each commit."""
    found = []
    made, last = model(), meta()
    with Store.open(StoreOptions(path=str(path))) as store:
        copier = Copier(*made)
        for step in range(1, STEPS + 1):
            change(made, step, 200)
            last = commit(store, copier, last, step)
            found.append(((path / "data.mdb").read_bytes(), digest(store)))
    return found


def stored(folder: Path, data: bytes) -> str:
    """The digest of a store whose data file holds `data`."""
    folder.mkdir()
    (folder / "data.mdb").write_bytes(data)
    with Store.open(StoreOptions(path=str(folder))) as store:
        return digest(store)


def at_loss(before: bytes, after: bytes, chance: random.Random, share: float) -> bytes:
    """The file before a commit, with some of the sectors that it changed; its head is not there yet."""
    size = len(after) if chance.random() < 0.5 else max(len(before), chance.randrange(0, len(after), PAGE))
    disk = bytearray(before.ljust(size, b"\0")[:size])
    for at in range(HEADS * PAGE, size, SECTOR):
        if after[at : at + SECTOR] != before[at : at + SECTOR] and chance.random() < share:
            disk[at : at + SECTOR] = after[at : at + SECTOR]
    return bytes(disk)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_whatever_part_of_a_commit_reached_the_disk_the_last_one_stands(tmp_path: Path, share: float) -> None:
    found = images(tmp_path / "whole")
    chance = random.Random(int(share * 10))
    for n in range(LOSSES):
        step = chance.randrange(1, STEPS)
        (before, wanted), (after, _) = found[step - 1], found[step]
        assert stored(tmp_path / str(n), at_loss(before, after, chance, share)) == wanted


def test_with_its_head_the_commit_is_there(tmp_path: Path) -> None:
    found = images(tmp_path / "whole")
    for n, (data, wanted) in enumerate(found):
        assert stored(tmp_path / str(n), data) == wanted
