"""Snapshots: a whole copy of the store with a manifest, which proves that it is whole.

Rules of this file:
1. A snapshot appears whole or not at all: it is written aside, made durable, and renamed. So does what is restored.
2. Nothing is read from a snapshot before its data file has the SHA-256 that its manifest names.
3. A snapshot is never written to. Making one does not stop the trainer.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from streammf.errors import StoreError
from streammf.state import datafile
from streammf.state.datafile import said, sync
from streammf.state.meta import FORMAT, Position
from streammf.state.owner import Owner
from streammf.state.store import MANIFEST, Store

_AT_ONCE: Final = 1 << 20


class Manifest(msgspec.Struct, kw_only=True, frozen=True):
    """What a snapshot holds, readable without opening it."""

    format: int
    created: str
    """UTC, ISO 8601."""
    sha256: str
    """Of the data file."""
    bytes: int
    objective: str
    seed: int
    dimensions: dict[str, int]
    options: dict[str, Any]
    counts: list[int]
    """Rows in use, by Axis."""
    events: int
    rejected: int
    commit: int
    positions: list[Position]
    """[topic, partition, next offset, topic id]: where learning goes on after a restore."""


def usual_name() -> str:
    """A snapshot's name where nobody chose one: UTC, so that names sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"


def create(store: Store, target: Path) -> Manifest:
    """Write the last commit of an open store to `target`, which must not exist yet."""
    if target.exists():
        raise StoreError(f"{target} is there already: choose another name for the snapshot")
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    with said("write the snapshot", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            store.copy(aside)
            manifest = _describe(aside)
            (aside / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            for path in (aside / datafile.NAME, aside / MANIFEST, aside):
                sync(path)
            aside.rename(target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync(target.parent)
    return manifest


def _describe(aside: Path) -> Manifest:
    """The manifest of a copy, from the copy itself: the store may have moved on."""
    (aside / MANIFEST).touch()  # opened as the snapshot that it becomes: without a lock file
    with Store.open_readonly(aside) as copy:
        meta = copy.meta()
    if meta is None:
        raise StoreError("the store holds no model yet: there is nothing to make a snapshot of")
    size, digest = _hashed(aside / datafile.NAME)
    return Manifest(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=digest,
        bytes=size,
        objective=meta.objective,
        seed=meta.seed,
        dimensions=meta.dimensions,
        options=meta.options,
        counts=meta.counts,
        events=meta.events,
        rejected=meta.rejected,
        commit=meta.commit,
        positions=meta.positions,
    )


def read_manifest(snapshot: Path) -> Manifest:
    """The manifest alone; the data file is not looked at."""
    with said("read the snapshot", snapshot):
        text = (snapshot / MANIFEST).read_bytes()
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the manifest of the snapshot {snapshot} is damaged ({error})") from error
    if manifest.format != FORMAT:
        raise StoreError(
            f"the snapshot {snapshot} has format {manifest.format}, this release reads format {FORMAT}: "
            "use the release that wrote it"
        )
    return manifest


def verify(snapshot: Path) -> Manifest:
    """The manifest, once the data file is what it says. StoreError otherwise."""
    manifest = read_manifest(snapshot)
    with said("read the snapshot", snapshot):
        _require_same(snapshot, manifest, *_hashed(snapshot / datafile.NAME))
    return manifest


def opened(path: Path) -> Store:
    """A store to read from, or a snapshot, once it is proven whole."""
    if (path / MANIFEST).exists():
        verify(path)
    return Store.open_readonly(path)


def restore(snapshot: Path, folder: Path, *, overwrite: bool = False) -> Manifest:
    """Make `folder` the store that the snapshot was taken of. Refuses over a store, and while somebody owns it."""
    manifest = read_manifest(snapshot)
    aside = folder / "data.restored"
    with said("restore into", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            raise StoreError(f"{folder} is a snapshot itself: restore into another folder")
        owner = Owner(folder)
        try:
            if (folder / datafile.NAME).exists() and not overwrite:
                raise StoreError(f"{folder} holds a store already: --overwrite replaces it, --store names another folder")
            _require_same(snapshot, manifest, *_hashed(snapshot / datafile.NAME, aside))
            aside.chmod(0o600)
            sync(aside)
            (folder / "lock.mdb").unlink(missing_ok=True)  # its readers read the file that is replaced
            aside.rename(folder / datafile.NAME)
            sync(folder)
        finally:
            aside.unlink(missing_ok=True)
            owner.release()
    return manifest


def listing(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """(path, manifest) of every snapshot in a folder that can be read, by time."""
    found = [(path.parent, read_manifest(path.parent)) for path in folder.glob(f"*/{MANIFEST}")]
    yield from sorted(found, key=lambda pair: (pair[1].created, pair[1].commit))


def _require_same(snapshot: Path, manifest: Manifest, size: int, digest: str) -> None:
    if (size, digest) != (manifest.bytes, manifest.sha256):
        raise StoreError(
            f"the snapshot {snapshot} is damaged: its data file has {size:,} bytes and SHA-256 {digest[:12]}…, "
            f"its manifest says {manifest.bytes:,} and {manifest.sha256[:12]}…; use another snapshot"
        )


def _hashed(path: Path, target: Path | None = None) -> tuple[int, str]:
    """(size, SHA-256) of a file, which is copied to `target` on the way."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file, (target or Path(os.devnull)).open("wb") as copy:
        while piece := file.read(_AT_ONCE):
            size += len(piece)
            digest.update(piece)
            copy.write(piece)
    return size, digest.hexdigest()
