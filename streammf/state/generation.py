"""Generations: the folders a live memory is made of, one for each start of a trainer, and the name that leads to one.

    base/lock             held by the trainer that writes here
    base/current          a symbolic link to the generation that readers are to use
    base/generation-7/    tables, ids, header, options

Rules of this file:
1. A generation is built aside; `current` is moved to it by one rename once it can be read. What a crash leaves behind
   is never taken for a generation, and the next trainer removes it.
2. A removed generation goes on living in the processes that have it mapped.
3. Somebody may remove all of it: logind does with the shared memory of a user who logs out (RemoveIPC). Then nobody finds what
   is written, and the writer says so.
"""

import fcntl
import os
import shutil
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from streammf.errors import NoModelError, StoreBusyError, StreamMFError
from streammf.failpoints import reach
from streammf.state.region import not_writable

CURRENT: Final = "current"
_PREFIX: Final = "generation-"


class Generations:
    """The folder `base`, held by one writer."""

    def __init__(self, base: Path) -> None:
        self.base = base
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(base / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise not_writable(base, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StoreBusyError(
                f"another trainer writes the live memory at {base}: stop it, or set live.path to another folder"
            ) from error

    def begin(self) -> tuple[int, Path]:
        """Remove what dead trainers left, except what readers use, and make a new folder: its number and path."""
        used = current(self.base)
        numbers = [number(name) for name in self._names()]
        for name in self._names():
            if name != used:
                self._remove(name)
        new = max(numbers, default=0) + 1
        folder = self.base / f"{_PREFIX}{new}"
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise not_writable(folder, error) from error
        reach("generation.begun")
        return new, folder

    def publish(self, folder: Path) -> None:
        """Send readers to `folder`, then remove the others."""
        aside = self.base / f"{CURRENT}.new"
        try:
            aside.unlink(missing_ok=True)
            aside.symlink_to(folder.name)
            reach("generation.linked")
            aside.rename(self.base / CURRENT)
        except OSError as error:
            self.require_kept()
            raise not_writable(aside, error) from error
        reach("generation.published")
        for name in self._names():
            if name != folder.name:
                self._remove(name)

    def drop(self, folder: Path) -> None:
        """Remove a generation that was never published."""
        self._remove(folder.name)

    def require_kept(self) -> None:
        """Raise NoModelError where the folder was removed. Less than a microsecond."""
        if os.fstat(self._lock).st_nlink == 0:
            raise removed(self.base)

    def close(self) -> None:
        """Let another trainer write here."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _names(self) -> list[str]:
        return [path.name for path in self.base.iterdir() if path.name.startswith(_PREFIX)]

    def _remove(self, name: str) -> None:
        shutil.rmtree(self.base / name, ignore_errors=True)  # what cannot be removed now, the next start removes


def current(base: Path) -> str | None:
    """The name of the generation that readers are to use; None where there is none."""
    try:
        return os.readlink(base / CURRENT)
    except OSError:
        return None


def removed(base: Path) -> NoModelError:
    """What is said where somebody removed the live memory of a trainer."""
    return NoModelError(
        f"the live memory at {base} was removed while the trainer wrote it; what was committed is whole: start the trainer "
        "again. Where logging out empties /dev/shm, set RemoveIPC=no in logind.conf, or live.path to another folder"
    )


def number(name: str) -> int:
    """The number of a generation's folder."""
    digits = name.removeprefix(_PREFIX)
    return int(digits) if digits.isdecimal() else 0


def remove(base: Path) -> None:
    """Give the memory of a live memory back, which would outlive every process; not where a trainer writes it."""
    with suppress(StreamMFError), closing(Generations(base)):
        shutil.rmtree(base, ignore_errors=True)
