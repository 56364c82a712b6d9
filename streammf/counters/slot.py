"""Slots: blocks of counters in small mapped files, where one process counts and another one reads.

Rules of this file:
1. A slot belongs to a role and a number (`trainer`, `worker-2`), never to a pid: who is started in the place of a process
   that was killed goes on counting where that one stopped. No total falls, and no series comes or goes.
2. A slot says itself what its numbers mean: a reader needs no declaration, and a writer that declares other families takes
   over what both have.
3. Slots stand beside the generations of the live memory, and outlive them.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from streammf.counters.block import Block, Family, size

#: The folder of the slots, under that of the live memory.
FOLDER: Final = "counters"
#: Length of the declarations, bytes. They follow, then the block.
_PREFIX: Final = struct.Struct("=8sQ")
_MAGIC: Final = b"SMFCNT01"
#: What reading a file raises that is gone, cut short, or another release's.
_UNREADABLE: Final = (OSError, ValueError, struct.error, msgspec.MsgspecError)


@dataclass(eq=False)
class Slot:
    """A block of this process that others read, held as long as this process lives."""

    name: str
    block: Block
    lock: int
    """Descriptor; the kernel gives the slot free when the process is gone."""

    @property
    def removed(self) -> bool:
        """Whether somebody removed its files: what is counted here, nobody reads any more."""
        return os.fstat(self.lock).st_nlink == 0

    def move(self, to: "Slot") -> None:
        """Be another slot, and go on there from what was counted."""
        to.block.take_over(self.block)
        os.close(self.lock)
        self.name, self.block, self.lock = to.name, to.block, to.lock

    def close(self) -> None:
        """Let another process take the slot; once."""
        os.close(self.lock)


def take(folder: Path, name: str, families: Sequence[Family]) -> Slot:
    """Take the slot `name` for families that include OWN. BlockingIOError: another process has it. OSError: not writable."""
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        block = _made(folder / name, tuple(families))
    except BaseException:
        os.close(lock)
        raise
    block.counter("process_starts_total").add()
    return Slot(name, block, lock)


def take_free(folder: Path, role: str, number: int, families: Sequence[Family]) -> Slot:
    """Take the first free slot of a role from `number` on. OSError: not writable."""
    for n in count(number):
        try:
            return take(folder, f"{role}-{n}", families)
        except BlockingIOError:
            continue
    raise AssertionError("numbers have no end")


class SlotReader:
    """All slots of a folder, for reading."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mapped: dict[str, tuple[int, Block]] = {}
        """Name → the file's inode, and what is in it."""

    def read(self) -> dict[str, Block]:
        """Name → block, sorted; without what cannot be read."""
        try:
            names = sorted(path.name for path in self._folder.iterdir() if path.suffix == "")
        except OSError:
            names = []
        found: dict[str, tuple[int, Block]] = {}
        for name in names:
            try:
                inode = os.stat(self._folder / name).st_ino
                known = self._mapped.get(name)
                found[name] = known if known and known[0] == inode else (inode, _opened(self._folder / name))
            except _UNREADABLE:
                continue
        self._mapped = found
        return {name: block for name, (_, block) in found.items()}


def _made(path: Path, families: tuple[Family, ...]) -> Block:
    """The block at `path`, under its lock: always a new file, that goes on from the one that was there."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    declared = msgspec.json.encode(families)
    start = _start(declared)
    file = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # never a hole: a full file system is an error here, and no SIGBUS later
        os.posix_fallocate(file, 0, start + size(families))
        os.pwrite(file, _PREFIX.pack(_MAGIC, len(declared)) + declared, 0)
        block = Block(families, mmap.mmap(file, 0), start)
    finally:
        os.close(file)
    with suppress(*_UNREADABLE):
        block.take_over(_opened(path))
    aside.rename(path)
    return block


def _opened(path: Path) -> Block:
    """Read-only. One of _UNREADABLE where it is no block of this release."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mapped = mmap.mmap(file, 0, prot=mmap.PROT_READ)
    finally:
        os.close(file)
    magic, length = _PREFIX.unpack_from(mapped)
    if magic != _MAGIC:
        raise ValueError(f"{path} does not begin as a block of counters does")
    declared = mapped[_PREFIX.size : _PREFIX.size + length]
    return Block(msgspec.json.decode(declared, type=tuple[Family, ...]), mapped, _start(declared))


def _start(declared: bytes) -> int:
    """Where the block begins, behind the declarations: numbers lie at multiples of eight."""
    return -(-(_PREFIX.size + len(declared)) // 8) * 8
