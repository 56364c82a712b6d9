"""What the trainer said last, for those who watch it: the header without the arrays that it is about.

Rules of this file:
1. It loads no kernel and maps no table: a process that only watches stays small.
"""

import os
from pathlib import Path
from typing import Final

from streammf.state.generation import CURRENT
from streammf.state.header import HEADER, Header, HeaderFile

#: What the file system counts in, whatever its blocks are.
_BLOCK: Final = 512


class LastHeader:
    """The newest header of the live memory at `base`. For one thread at a time."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._inode = 0
        self._file: HeaderFile | None = None
        self._last: Header | None = None

    def read(self) -> Header | None:
        """The last one that could be read whole; None where there never was one, or where the live memory is gone."""
        path = self._base / CURRENT / HEADER
        try:
            inode = path.stat().st_ino  # a name may come again, once a live memory was given back
            if inode != self._inode:
                self._file, self._inode = HeaderFile.attach(path), inode
        except OSError:
            if not self._base.exists():
                self._file = self._last = None
                self._inode = 0
        if self._file is not None:
            read = self._file.read()
            self._last = read[1] if read else self._last
        return self._last


def backed_bytes(base: Path) -> int:
    """Memory that the current generation takes; its files are far longer than what stands behind them."""
    try:
        with os.scandir(base / CURRENT) as files:
            return sum(file.stat().st_blocks * _BLOCK for file in files)
    except OSError:
        return 0
