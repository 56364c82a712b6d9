"""Where snapshots are kept, by name: a folder, or a bucket of an object store.

Rules of this file:
1. A name is taken once. What is on a shelf is never changed, only removed whole.
2. Retention removes what a trainer wrote by itself of this very store, nothing else, and only once one that stays was read
   whole and is good. So the newest good one is never removed.
3. Who asks for `latest` gets the newest good one, and is told what was passed over, and why.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from streammf.errors import StoreError, StreamMFError
from streammf.state import snapshots
from streammf.state.manifest import Manifest
from streammf.state.store import Store

LATEST = "latest"


class Shelf(Protocol):
    """A place of snapshots. All methods raise StoreError."""

    place: str
    """As the setting has it."""

    def path(self, name: str) -> str:
        """What a snapshot is called outside of its shelf."""
        ...

    def names(self) -> list[str]:
        """All that are whole as far as can be told without reading them, in order of their names."""
        ...

    def manifest(self, name: str) -> Manifest:
        """What one says that it holds."""
        ...

    def verify(self, name: str) -> Manifest:
        """The same, once its data was read whole and is what the manifest says."""
        ...

    def add(self, store: Store, name: str, *, scheduled: bool = False) -> Manifest:
        """Write the last commit of an open store under a new name."""
        ...

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """A folder with the snapshot in it, while the block runs."""
        ...

    def remove(self, name: str) -> None:
        """Delete one."""
        ...


class Folder:
    """A shelf in the file system."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def names(self) -> list[str]:
        return snapshots.names(self._folder)

    def manifest(self, name: str) -> Manifest:
        return snapshots.read_manifest(self._folder / name)

    def verify(self, name: str) -> Manifest:
        return snapshots.verify(self._folder / name)

    def add(self, store: Store, name: str, *, scheduled: bool = False) -> Manifest:
        return snapshots.create(store, self._folder / name, scheduled=scheduled)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        yield self._folder / name

    def remove(self, name: str) -> None:
        snapshots.remove(self._folder / name)


class Found(NamedTuple):
    """One name of a shelf: what its manifest says, or why it cannot be read."""

    name: str
    manifest: Manifest | None
    fault: str = ""


def listing(shelf: Shelf) -> list[Found]:
    """All snapshots of a shelf, oldest first; those whose manifest cannot be read come before all others."""
    found = []
    for name in shelf.names():
        try:
            found.append(Found(name, shelf.manifest(name)))
        except StoreError as error:
            found.append(Found(name, None, str(error)))
    return sorted(found, key=lambda one: (one.manifest.created, one.manifest.commit) if one.manifest else ("", 0))


def newest_good(
    shelf: Shelf, passed_over: Callable[[str, str], None], refused: Callable[[Manifest], None] = lambda _: None
) -> str:
    """The name of the newest snapshot that is whole and that `refused` does not raise a StreamMFError about.

    passed_over is told the path of each newer one, and why. StoreError where there is none.
    """
    reasons = []
    for one in reversed(listing(shelf)):
        try:
            refused(shelf.verify(one.name))
        except StreamMFError as error:
            reasons.append(str(error))
            passed_over(shelf.path(one.name), str(error))
        else:
            return one.name
    raise StoreError(
        f"no snapshot in {shelf.place} is good: {'; '.join(reasons)}" if reasons else f"there is no snapshot in {shelf.place}"
    )


def retire(shelf: Shelf, store: str, kept: int, days: float, now: datetime | None = None) -> list[str]:
    """Remove the scheduled snapshots of this store that are neither among the newest `kept` nor younger than `days`.

    The names of what was removed; nothing where none of those that stay is good and none of the others either.
    """
    ours = [one for one in listing(shelf) if one.manifest and one.manifest.scheduled and one.manifest.store == store]
    oldest = (now or datetime.now(UTC)) - timedelta(days=days)
    old = [one for one in ours[:-kept] if one.manifest and (not days or datetime.fromisoformat(one.manifest.created) < oldest)]
    if not old:
        return []
    staying = [one for one in ours if one not in old]
    if not any(_is_good(shelf, one.name) for one in reversed(staying)):
        good = next((one for one in reversed(old) if _is_good(shelf, one.name)), None)
        if good is None:
            return []
        old.remove(good)
    for one in old:
        shelf.remove(one.name)
    return [one.name for one in old]


def _is_good(shelf: Shelf, name: str) -> bool:
    try:
        shelf.verify(name)
    except StoreError:
        return False
    return True


def shelf_at(place: str) -> Shelf:
    """The shelf that a setting names."""
    if "://" not in place:
        return Folder(Path(place))
    from streammf.state.objects import Bucket  # noqa: PLC0415 - an extra, which few need

    return Bucket(place)


def on_shelf(said: str, usual: str) -> tuple[Shelf, str]:
    """Shelf and name of what somebody called a snapshot: a folder, a URL, or the name of one on the usual shelf."""
    if "://" in said:
        place, _, name = said.rstrip("/").rpartition("/")
        return shelf_at(place), name
    path = Path(said)
    if said == LATEST or (len(path.parts) == 1 and not path.exists()):
        return shelf_at(usual), said
    return Folder(path.parent), path.name
