"""Power lost in the middle of a commit: any part of its sectors may have reached the disk before its last page.

Twice. The writes and syncs of a process that commits are recorded, and disks are made of them as a loss of power at each step
may leave them: what was synced is there, of everything else any part. And the file before a commit and after it are compared,
and a disk is made of the first with a part of what changed from the second: this supposes what the recording proves, that
LMDB writes a commit's pages where nothing that counts stands, syncs them, and then writes one of its two heads. What no test on
a running machine can show is the disk's promise: that it keeps what it says it has synced, and that the 120 bytes of a head,
which lie within one sector, are written whole or not at all.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from streammf.state.changes import Copier
from streammf.state.digest import digest
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.models import change, commit, digest_after, meta, model
from tests.state.recorded import Said, Step, Sync, Write, recorded

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
    """The digest of a store whose data file holds `data`; empty: it has no commit."""
    folder.mkdir()
    (folder / "data.mdb").write_bytes(data)
    with Store.open(StoreOptions(path=str(folder))) as store:
        return digest(store) if store.meta() else ""


def at_loss(before: bytes, after: bytes, chance: random.Random, share: float) -> bytes:
    """The file before a commit, with some of the sectors that it changed; its head is not there yet."""
    size = len(after) if chance.random() < 0.5 else max(len(before), chance.randrange(0, len(after), PAGE))
    disk = bytearray(before.ljust(size, b"\0")[:size])
    for at in range(HEADS * PAGE, size, SECTOR):
        if after[at : at + SECTOR] != before[at : at + SECTOR] and chance.random() < share:
            disk[at : at + SECTOR] = after[at : at + SECTOR]
    return bytes(disk)


def left_by(before: bytes, steps: Sequence[Step], chance: random.Random, share: float) -> bytes:
    """A disk on which so far only what was durable is sure to be, and of everything else some sectors are."""
    synced = max((n for n, step in enumerate(steps) if isinstance(step, Sync)), default=-1)
    disk = bytearray(before)
    for n, step in enumerate(steps):
        if not isinstance(step, Write):
            continue
        for at in range(0, len(step.data), SECTOR):
            if n < synced or step.durable or chance.random() < share:
                piece = step.data[at : at + SECTOR]
                disk.extend(bytes(max(step.at + at + len(piece) - len(disk), 0)))
                disk[step.at + at : step.at + at + len(piece)] = piece
    disk.extend(bytes(-len(disk) % PAGE))
    return bytes(disk)


@pytest.mark.timeout(300)
def test_what_was_committed_is_there_wherever_in_the_recorded_writes_power_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    Store.open(StoreOptions(path=str(folder))).close()
    before = (folder / "data.mdb").read_bytes()
    steps = recorded(["tests.state.models", str(folder)], folder / "data.mdb", tmp_path / "trace", f"committed {STEPS}\n")
    heads = [step for step in steps if isinstance(step, Write) and step.durable]
    assert len(heads) > STEPS
    assert all(step.at // PAGE < HEADS and step.at // SECTOR == (step.at + len(step.data) - 1) // SECTOR for step in heads)
    wanted = ["", *(digest_after(step) for step in range(1, STEPS + 1))]
    chance, disks, promised = random.Random(1), 0, 0
    for n, step in enumerate(steps):
        promised += isinstance(step, Said) and step.text.startswith("committed")
        if isinstance(step, Said) or promised == STEPS:
            continue
        opened = 1  # the head that an opening writes
        there = max(sum(isinstance(one, Write) and one.durable for one in steps[: n + 1]) - opened, 0)
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            disks += 1
            assert stored(tmp_path / f"{n}-{share}", left_by(before, steps[: n + 1], chance, share)) == wanted[there]
        assert promised <= there <= promised + 1
    assert disks >= 5 * 3 * STEPS
    print(f"{disks} disks, {len(steps)} steps")  # noqa: T201 - the figure that is asked for


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
