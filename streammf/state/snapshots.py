"""Snapshots in folders: a whole copy of the store with a manifest, which proves that it is whole.

Rules of this file:
1. A snapshot appears whole or not at all: it is written aside, made durable, and renamed. So does what is restored.
2. Nothing is read from a snapshot before its data file has the SHA-256 that its manifest names.
3. A snapshot is never written to. Making one does not stop the trainer: commits go on, into new pages of the store.
4. What is written aside is locked: what a killed process left there the next one removes, what a living one writes stays.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from streammf.errors import StoreError
from streammf.failpoints import reach
from streammf.learning.options import LearningOptions
from streammf.learning.tables import TABLES, Dimensions, in_use
from streammf.state import datafile, manifest
from streammf.state.datafile import said, sync
from streammf.state.manifest import Manifest
from streammf.state.meta import require_layout, require_settings
from streammf.state.owner import Owner
from streammf.state.restoring import clear_file, told_since
from streammf.state.store import MANIFEST, Store

#: Where, in a store's folder, what is restored is made ready.
RESTORED: Final = "restored.new"
_AT_ONCE: Final = 1 << 20
_ASIDE: Final = re.compile(r"\..+\.\d+\.new")


def usual_name() -> str:
    """A snapshot's name where nobody chose one: UTC, so that names sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def written_at(described: Manifest) -> float:
    """When a snapshot was taken, seconds since the epoch."""
    return datetime.fromisoformat(described.created).timestamp()


def create(store: Store, target: Path, *, scheduled: bool = False) -> Manifest:
    """Write the last commit of an open store to `target`, which must not exist yet."""
    if target.exists():
        raise StoreError(f"{target} is there already: choose another name for the snapshot")
    with said("write the snapshot", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _aside(target) as aside:
            store.copy(aside)
            reach("snapshot.copied")
            described = _describe(aside, scheduled=scheduled)
            (aside / MANIFEST).write_bytes(manifest.written(described))
            for path in (aside / datafile.NAME, aside / MANIFEST, aside):
                sync(path)
            reach("snapshot.synced")
            aside.rename(target)
            reach("snapshot.renamed")
        sync(target.parent)
    return described


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A locked folder beside `target`; removed where the block fails."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    aside.mkdir()
    lock = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        reach("snapshot.begun")
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove what processes that are gone had begun to write."""
    for aside in folder.iterdir():
        if _ASIDE.fullmatch(aside.name) and _is_ours(aside):
            lock = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(aside)
            except BlockingIOError:
                pass  # it is being written
            finally:
                os.close(lock)


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds nothing but what a snapshot consists of."""
    return folder.is_dir() and not folder.is_symlink() and {path.name for path in folder.iterdir()} <= {datafile.NAME, MANIFEST}


def _describe(aside: Path, *, scheduled: bool) -> Manifest:
    """The manifest of a copy, from the copy itself: the store may have moved on."""
    (aside / MANIFEST).touch()  # opened as the snapshot that it becomes: without a lock file
    with Store.open_readonly(aside) as copy, copy.read() as reading:
        meta, identity = reading.meta(), reading.identity()
    if meta is None:
        raise StoreError("the store holds no model yet: there is nothing to make a snapshot of")
    return manifest.describe(meta, identity, *_hashed(aside / datafile.NAME), scheduled=scheduled)


def read_manifest(snapshot: Path) -> Manifest:
    """The manifest alone; the data file is not looked at."""
    with said("read the snapshot", snapshot):
        text = (snapshot / MANIFEST).read_bytes()
    return manifest.read(text, snapshot)


def verify(snapshot: Path) -> Manifest:
    """The manifest, once the data file is what it says. StoreError otherwise."""
    described = read_manifest(snapshot)
    with said("read the snapshot", snapshot):
        manifest.require_same(described, *_hashed(snapshot / datafile.NAME), snapshot)
    return described


def opened(path: Path, *, allow_network: bool = False) -> Store:
    """A store to read from, or a snapshot, once it is proven whole."""
    if (path / MANIFEST).exists():
        verify(path)
    return Store.open_readonly(path, allow_network=allow_network)


def require_ours(described: Manifest, learning: LearningOptions | None) -> None:
    """Raise StoreError where this release has other columns, ConfigurationError where the trainer would learn another model."""
    if described.dimensions.keys() - set(Dimensions._fields):
        raise StoreError(f"the snapshot has dimensions {sorted(described.dimensions)}: use the release that wrote it")
    dimensions = Dimensions(**described.dimensions)
    if min(dimensions) < 0 or dimensions.factors < 1:
        raise StoreError(f"the snapshot has dimensions {described.dimensions}, which no model has: use another snapshot")
    require_layout(described, in_use(TABLES, dimensions), dimensions)
    if learning is not None:
        require_settings(described, learning.objective, learning.seed, learning.dimensions)


def restore(
    snapshot: Path,
    folder: Path,
    *,
    overwrite: bool = False,
    learning: LearningOptions | None = None,
    allow_network: bool = False,
) -> Manifest:
    """Make `folder` the store that the snapshot was taken of. Refuses over a store, and while somebody owns it.

    What the store that is replaced was told to forget since then stays forgotten. learning: what will go on learning; a
    snapshot of another model is refused.
    """
    described = read_manifest(snapshot)
    require_ours(described, learning)
    aside = folder / RESTORED
    with said("restore into", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            raise StoreError(f"{folder} is a snapshot itself: restore into another folder")
        owner = Owner(folder)
        try:
            if (folder / datafile.NAME).exists() and not overwrite:
                raise StoreError(f"{folder} holds a store already: --overwrite replaces it, --store names another folder")
            shutil.rmtree(aside, ignore_errors=True)  # of an attempt that was killed
            aside.mkdir()
            copy = aside / datafile.NAME
            manifest.require_same(described, *_hashed(snapshot / datafile.NAME, copy), snapshot)
            reach("restore.copied")
            copy.chmod(0o600)
            if forgotten := told_since(folder, described.store, described.positions, allow_network):
                clear_file(aside, forgotten, allow_network)
                reach("restore.cleared")
            sync(copy)
            reach("restore.synced")
            (folder / "lock.mdb").unlink(missing_ok=True)  # its readers read the file that is replaced
            copy.rename(folder / datafile.NAME)
            reach("restore.renamed")
            sync(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            owner.release()
    return described


def remove(snapshot: Path) -> None:
    """Delete a snapshot: gone under its name at once. StoreError where there is anything else in the folder."""
    with said("delete the snapshot", snapshot):
        if not _is_ours(snapshot):
            raise StoreError(f"{snapshot} holds more than a snapshot: nothing was deleted")
        aside = snapshot.with_name(f".{snapshot.name}.{os.getpid()}.new")  # swept by the next one, if we die here
        snapshot.rename(aside)
        reach("snapshot.dropped")
        shutil.rmtree(aside)
        sync(snapshot.parent)


def listing(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """(path, manifest) of every snapshot in a folder, by time. StoreError at one whose manifest cannot be read."""
    found = [(folder / name, read_manifest(folder / name)) for name in names(folder)]
    yield from sorted(found, key=lambda pair: (pair[1].created, pair[1].commit))


def names(folder: Path) -> list[str]:
    """The snapshots in a folder, whether they can be read or not; what is still being written is none."""
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{MANIFEST}"))


def _hashed(path: Path, target: Path | None = None) -> tuple[int, str]:
    """(size, SHA-256) of a file, which is copied to `target` on the way."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file, (target or Path(os.devnull)).open("wb") as copy:
        while piece := file.read(_AT_ONCE):
            size += len(piece)
            digest.update(piece)
            copy.write(piece)
    return size, digest.hexdigest()
