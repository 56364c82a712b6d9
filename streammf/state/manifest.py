"""A snapshot's manifest: what the copy holds, readable without opening it, and the proof that both are as they were written.

Rules of this file:
1. A manifest names the SHA-256 of the data file, and carries one of itself: a flipped bit in either is noticed.
2. One of another format is said to be that before anything else of it is looked at.
"""

import hashlib
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import msgspec

from streammf.errors import StoreError
from streammf.state.meta import FORMAT, Meta, Position


class Manifest(msgspec.Struct, kw_only=True, frozen=True):
    """What a snapshot holds."""

    format: int
    release: str
    """Version of StreamMF that wrote it."""
    created: str
    """UTC, ISO 8601."""
    scheduled: bool
    """Written by a trainer by itself: what retention may delete. False: somebody asked for it, and decides when it goes."""
    store: str
    """Which store this is a copy of."""
    sha256: str
    """Of the data file."""
    bytes: int
    configuration: str
    """SHA-256 of the learning options: equal for two snapshots that were learned with the same settings."""
    objective: str
    seed: int
    dimensions: dict[str, int]
    options: dict[str, Any]
    layout: list[str]
    """A line for every column, as the store has it."""
    counts: list[int]
    """Rows in use, by Axis."""
    events: int
    rejected: int
    commit: int
    positions: list[Position]
    """[topic, partition, next offset, topic id]: where learning goes on after a restore."""
    seal: str = ""
    """SHA-256 of this manifest with an empty seal."""


class _Head(msgspec.Struct):
    format: int


def describe(meta: Meta, store: str, size: int, sha256: str, *, scheduled: bool) -> Manifest:
    """The manifest of a copy whose data file has this size and hash."""
    manifest = Manifest(
        format=FORMAT,
        release=metadata.version("streammf"),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        scheduled=scheduled,
        store=store,
        sha256=sha256,
        bytes=size,
        configuration=hashlib.sha256(msgspec.json.encode(meta.options, order="deterministic")).hexdigest(),
        objective=meta.objective,
        seed=meta.seed,
        dimensions=meta.dimensions,
        options=meta.options,
        layout=meta.layout,
        counts=meta.counts,
        events=meta.events,
        rejected=meta.rejected,
        commit=meta.commit,
        positions=meta.positions,
    )
    return msgspec.structs.replace(manifest, seal=_seal(manifest))


def written(manifest: Manifest) -> bytes:
    """As a file."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read(text: bytes, place: object) -> Manifest:
    """What such a file says. StoreError where it is damaged, foreign or of another format; `place` is the snapshot's name."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.format != FORMAT:
            raise StoreError(
                f"the snapshot {place} has format {head.format}, this release reads {FORMAT}: use the release that wrote it"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(
            f"the manifest of the snapshot {place} is damaged, or not one of StreamMF ({error}): use another snapshot"
        ) from error
    if not _is_instant(manifest.created):
        raise StoreError(f"the snapshot {place} says that it was made at {manifest.created!r}: use another one")
    if manifest.seal != _seal(manifest):
        raise StoreError(
            f"the manifest of the snapshot {place} is damaged: it is not what its own seal says; use another snapshot"
        )
    return manifest


def require_same(manifest: Manifest, size: int, sha256: str, place: object) -> None:
    """StoreError unless this is the data file that the manifest is about."""
    if (size, sha256) != (manifest.bytes, manifest.sha256):
        raise StoreError(
            f"the snapshot {place} is damaged: its data file has {size:,} bytes and SHA-256 {sha256[:12]}…, "
            f"its manifest says {manifest.bytes:,} and {manifest.sha256[:12]}…; use another snapshot"
        )


def _is_instant(text: str) -> bool:
    """Whether a text is a time that can be compared with others: one that says its offset from UTC."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _seal(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, seal=""))).hexdigest()
