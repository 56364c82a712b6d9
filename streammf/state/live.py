"""Live memory: the trainer writes it, query workers map it read-only and see each event as soon as it is learned.

Rules of this file:
1. One writer, any number of readers; a reader never writes and never waits for the writer.
2. A reader serves what it has until something newer can be read whole. Nothing that the writer does, or fails to do, is
   an error for a reader that has a view.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from streammf.errors import NoModelError
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.generation import CURRENT, Generations, current
from streammf.state.header import HEADER, Header, HeaderFile, Status
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.options import DEFAULT_LIMITS, SETTINGS, Limits
from streammf.state.region import not_writable
from streammf.state.view import View

OPTIONS: Final = "options.json"
USERS: Final = "user_ids"
ITEMS: Final = "item_ids"
#: Times that a reader asks again which generation is the current one when the one it was sent to is gone.
ATTEMPTS: Final = 10


class LiveWriter:
    """A new generation, filled by the trainer; readers see it from the first `publish` on."""

    def __init__(self, base: Path, options: LearningOptions, limits: Limits = DEFAULT_LIMITS) -> None:
        self._generations = Generations(base)
        self._published = False
        with ExitStack() as undo:
            undo.callback(self._generations.close)
            self._number, self._folder = self._generations.begin()
            undo.callback(self._drop_unseen)
            try:
                (self._folder / OPTIONS).write_bytes(msgspec.json.encode(options))
            except OSError as error:
                raise not_writable(self._folder, error) from error
            self._header = HeaderFile.create(self._folder / HEADER)
            undo.callback(self._header.close)
            self.memory = Memory.create(self._folder, options.dimensions, options.seed, limits=limits)
            undo.callback(self.memory.close)
            self.users = Ids.create(self._folder, USERS, options.seed, limits.users, SETTINGS[Axis.USER])
            undo.callback(self.users.close)
            self.items = Ids.create(self._folder, ITEMS, options.seed, limits.items, SETTINGS[Axis.ITEM])
            undo.callback(self.items.close)
            self._closing = undo.pop_all()

    def publish(self, header: Header) -> None:
        """Make everything learned so far visible, with what `header` says of it; fills in the header's own part."""
        header.generation = self._number
        header.counts = self.memory.counts.tolist()
        header.vacant = self.memory.vacancies
        header.user_level, header.item_level = self.users.level, self.items.level
        header.published_at = time.time()
        header.trainer_pid = os.getpid()
        self._header.write(header)
        self._last = header
        if not self._published:
            self._generations.publish(self._folder)
            self._published = True

    def require_kept(self) -> None:
        """Raise NoModelError where somebody removed what is written here: nobody can find it any more."""
        self._generations.require_kept()

    def close(self, status: Status = "stopped") -> None:
        """Say so and let go; readers keep serving. A generation that nobody has seen is removed. Idempotent."""
        if self._published and self._last.status != status:
            self._last.status = status
            self.publish(self._last)
        self._closing.close()

    def _drop_unseen(self) -> None:
        if not self._published:
            self._generations.drop(self._folder)


class LiveReader:
    """What a query worker holds: always the newest view that can be had. For one thread; its views are for any."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._link = os.fspath(base / CURRENT)
        self._published = (0, 0)
        """Which link was followed to what is mapped: its inode, and when it was made."""
        self._mapped: _Mapped | None = None
        self._sequence = 0
        self._view: View | None = None

    def view(self) -> View:
        """The newest view. Microseconds where nothing changed. NoModelError where there was never one."""
        try:
            link = os.lstat(self._link)
            published = (link.st_ino, link.st_mtime_ns)  # a name may come again, once a live memory was given back
        except OSError:  # removed under us: what is mapped stays good
            published = self._published
        if published != self._published or self._mapped is None:
            self._move(published)
        if self._mapped is None:
            raise self._nothing("no trainer has published one yet")
        if self._view is None or self._mapped.header.sequence != self._sequence:
            read = self._mapped.header.read()
            if read is not None:
                self._sequence, header = read
                self._view = self._mapped.view(header)
        if self._view is None:
            raise self._nothing("its header cannot be read")
        return self._view

    def close(self) -> None:
        """Let go. Views taken before stay good. Idempotent."""
        self._mapped = self._view = None
        self._published = (0, 0)

    def _move(self, published: tuple[int, int]) -> None:
        """Map the generation that was `published`, or one after it, if it can be read; else stay with what there is."""
        for _ in range(ATTEMPTS):
            name = current(self._base)
            if name is None:
                return
            try:
                mapped = _Mapped(self._base / name)
            except OSError:  # removed between the two looks: `current` names another one now, or soon
                continue
            except NoModelError:
                if self._mapped is None:
                    raise
                self._published = published  # of another version: not to be tried again at each query
                return
            read = mapped.header.read()
            if read is None:
                continue
            self._mapped, self._published = mapped, published
            self._sequence, header = read
            self._view = mapped.view(header)
            return

    def _nothing(self, reason: str) -> NoModelError:
        return NoModelError(
            f"there is no live model at {self._base} ({reason}): start the trainer, or set live.path to its folder"
        )


class _Mapped:
    """One generation, mapped read-only. OSError where a file is gone, NoModelError where another version made it."""

    def __init__(self, folder: Path) -> None:
        self.header = HeaderFile.attach(folder / HEADER)
        try:
            self._options = msgspec.json.decode((folder / OPTIONS).read_bytes(), type=LearningOptions)
        except msgspec.MsgspecError as error:
            raise NoModelError(f"the options in {folder} cannot be read ({error}): use one version of StreamMF") from error
        ready(self._options.part)  # those of the trainer's options, whatever this process was started with
        memory = Memory.attach(folder)
        self._state = memory.state
        self._users = Ids.attach(folder, USERS, memory.seed)
        self._items = Ids.attach(folder, ITEMS, memory.seed)

    def view(self, header: Header) -> View:
        """What a header of this generation makes visible."""
        return View(header, self._options, self._state, self._users, self._items)
