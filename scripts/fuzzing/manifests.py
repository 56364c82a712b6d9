"""Manifests of snapshots: damaged ones, and sealed ones of somebody else's making."""

import hashlib
import json
from typing import Any, Final

import msgspec

from scripts.fuzzing.target import Target
from streammf.errors import ConfigurationError, StoreError
from streammf.learning.options import LearningOptions
from streammf.learning.tables import TABLES, in_use
from streammf.state import manifest, snapshots
from streammf.state.meta import Meta, Position, first_meta

LEARNING: Final = LearningOptions()


def _meta() -> Meta:
    dimensions = LEARNING.dimensions
    options = msgspec.to_builtins(LEARNING)
    made = first_meta("ranking", LEARNING.seed, dimensions, options, in_use(TABLES, dimensions))
    return msgspec.structs.replace(made, positions=[Position("events", 0, 7, "an id")], events=7, commit=3)


TEXT: Final = manifest.written(manifest.describe(_meta(), "0" * 32, 8192, "f" * 64, scheduled=True))


GOOD: Final = json.loads(TEXT)
#: Fields that somebody with bad intent, or another release, may have put there.
FIELDS: Final = (
    b'{"created":"2026-11-28T06:15:00.000+00:00","events":8}',
    b'{"created":"yesterday"}',
    b'{"created":"2026-11-28"}',
    b'{"options":{"factors":[1e400,{"a":"\\ud800"}],"seed":18446744073709551616}}',
    b'{"positions":[["events",-1,-7,""],["events",-1,-7,""]],"counts":[-1]}',
    b'{"dimensions":{"factors":-1,"history":0}}',
    b'{"layout":[],"seed":-1,"objective":"x","bytes":-1,"sha256":""}',
)


def feed(data: bytes) -> str:
    """As it stands; and where it is a map, as fields of a whole manifest, under a seal that fits."""
    found = _read(data)
    sealed = _sealed(data)
    return f"{_read(sealed)}, sealed" if sealed else found


def _read(text: bytes) -> str:
    try:
        described = manifest.read(text, "one")
    except StoreError:
        return "refused"
    assert manifest.read(manifest.written(described), "one") == described, "it is not read as it was written"
    snapshots.written_at(described)
    try:
        snapshots.require_ours(described, LEARNING)
    except (StoreError, ConfigurationError):
        return "of another model"
    return "whole"


def _sealed(data: bytes) -> bytes:
    """Empty: these are no fields of a manifest."""
    try:
        fields: Any = {**GOOD, **json.loads(data), "seal": ""}
        described = msgspec.convert(fields, manifest.Manifest)
        fields["seal"] = hashlib.sha256(msgspec.json.encode(described)).hexdigest()
        return json.dumps(fields).encode()
    except (ValueError, TypeError, RecursionError, OverflowError, msgspec.MsgspecError):
        return b""


WORDS: Final = (*(f'"{name}":'.encode() for name in GOOD), b"null", b"-1", b"1e999", b"[", b"{", b'""')
MANIFESTS: Final = Target("manifests", (TEXT, *FIELDS), feed, WORDS)
