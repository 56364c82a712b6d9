"""Snapshots in an object store (S3, or what speaks its language): the extra `objects`.

Rules of this file:
1. Every write creates: an object that is there already is never written over (`If-None-Match: *`). The manifest is written
   last, and is what makes a snapshot; parts without one are none.
2. The data file goes in parts of some MiB, so that no upload is larger than one request may be, and memory stays bounded.
3. Who may write, where the store is and how it is reached, the AWS_* variables say: no secret stands in a configuration.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from streammf.errors import ConfigurationError, StoreError
from streammf.state import datafile, manifest, snapshots
from streammf.state.datafile import said
from streammf.state.manifest import Manifest
from streammf.state.store import MANIFEST, Store

PART_BYTES: Final = 32 << 20
#: Where a snapshot stands before it is sent: a folder in the store's own.
SENDING: Final = "sending"


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import obstore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "store.snapshots is in an object store, and the library for it is missing: pip install 'streammf[objects]'"
        ) from error
    return obstore


class Bucket:
    """A shelf in an object store, at `s3://bucket/prefix`."""

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")
        self._library = _library()
        try:
            self._objects = self._library.store.from_url(self.place)
        except Exception as error:
            if not isinstance(error, self._library.exceptions.BaseError | ValueError):
                raise
            raise ConfigurationError(f"store.snapshots = {self.place!r}: {_reason(error)}") from error

    def path(self, name: str) -> str:
        return f"{self.place}/{name}"

    def names(self) -> list[str]:
        with self._said("list the snapshots"):
            found = self._objects.list_with_delimiter()["common_prefixes"]
            names = [prefix.rstrip("/").rpartition("/")[2] for prefix in found]
            return sorted(name for name in names if self._is_there(f"{name}/{MANIFEST}"))

    def manifest(self, name: str) -> Manifest:
        with self._said(f"read the snapshot {name}"):
            text = bytes(self._objects.get(f"{name}/{MANIFEST}").bytes())
        return manifest.read(text, self.path(name))

    def verify(self, name: str) -> Manifest:
        return self._read(name, Path(os.devnull))

    def add(self, store: Store, name: str, *, scheduled: bool = False) -> Manifest:
        if name in self.names():
            raise self._taken(name)
        with _staged(store.path / SENDING) as folder:
            described = snapshots.create(store, folder / name, scheduled=scheduled)
            sent: list[str] = []
            try:
                with (folder / name / datafile.NAME).open("rb") as file:
                    while part := file.read(PART_BYTES):
                        self._create(name, _part(name, len(sent)), part, sent)
                self._create(name, f"{name}/{MANIFEST}", (folder / name / MANIFEST).read_bytes(), sent)
            except BaseException:
                self._take_back(sent)
                raise
        return described

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        with TemporaryDirectory(prefix="streammf-snapshot-") as folder:
            path = Path(folder) / name
            path.mkdir()
            described = self._read(name, path / datafile.NAME)
            (path / MANIFEST).write_bytes(manifest.written(described))
            yield path

    def remove(self, name: str) -> None:
        parts = -(-self.manifest(name).bytes // PART_BYTES)
        with self._said(f"delete the snapshot {name}"):
            self._objects.delete(f"{name}/{MANIFEST}")  # first: what has no manifest is no snapshot
            for number in range(parts):
                self._objects.delete(_part(name, number))

    def _read(self, name: str, target: Path) -> Manifest:
        """The manifest, once the data was written to `target` and is what it says."""
        described = self.manifest(name)
        size, digest = 0, hashlib.sha256()
        with self._said(f"read the snapshot {name}"), target.open("wb") as file:
            for number in range(-(-described.bytes // PART_BYTES)):
                for piece in self._objects.get(_part(name, number)).stream():
                    size += len(piece)
                    digest.update(piece)
                    file.write(piece)
        manifest.require_same(described, size, digest.hexdigest(), self.path(name))
        return described

    def _create(self, name: str, key: str, content: bytes, sent: list[str]) -> None:
        with self._said(f"write the snapshot {name}"):
            try:
                self._objects.put(key, content, mode="create", use_multipart=False)
            except self._library.exceptions.AlreadyExistsError:
                raise self._taken(name) from None
        sent.append(key)

    def _taken(self, name: str) -> StoreError:
        return StoreError(f"{self.path(name)} is there already, or is being written: choose another name for the snapshot")

    def _take_back(self, sent: list[str]) -> None:
        """What this very call wrote, as far as the store can be reached."""
        for key in sent:
            with suppress(self._library.exceptions.BaseError):
                self._objects.delete(key)

    def _is_there(self, key: str) -> bool:
        try:
            self._objects.head(key)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """Turn what the library raises into a StoreError that names the place."""
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(f"cannot {doing} in {self.place}: it is not there, or not whole ({_reason(error)})") from error
        except OSError as error:
            raise StoreError(f"cannot {doing} in {self.place}: {error.strerror or error}") from error
        except self._library.exceptions.BaseError as error:
            raise StoreError(f"cannot {doing} in {self.place}: {_reason(error)}") from error


def _part(name: str, number: int) -> str:
    return f"{name}/{datafile.NAME}.{number:05}"


def _reason(error: Exception) -> str:
    """The first line: the library's messages go on with its own debugging."""
    return str(error).strip().partition("\n")[0]


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder for what is to be sent: one at a time, so that what a killed process left there is at most one snapshot."""
    with said("write the snapshot", folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StoreError(f"another snapshot is being sent from {folder}: wait until it is done") from None
    try:
        for leftover in folder.iterdir():
            shutil.rmtree(leftover)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
