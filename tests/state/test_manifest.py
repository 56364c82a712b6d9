"""A manifest proves itself."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from streammf.errors import StoreError
from streammf.state import manifest, snapshots
from streammf.state.store import Store
from tests.state.stores import some_commits


@pytest.fixture
def text(tmp_path: Path) -> bytes:
    with Store.open_readonly(some_commits(tmp_path / "store")) as store:
        snapshots.create(store, tmp_path / "one")
    return (tmp_path / "one" / "manifest.json").read_bytes()


def test_it_is_read_back_as_it_was_written(text: bytes) -> None:
    assert manifest.written(manifest.read(text, "one")) == text


def test_no_changed_field_is_believed(text: bytes) -> None:
    fields = json.loads(text)
    changes = {"events": 4, "positions": [["events", 0, 99, "an id"]], "sha256": "0" * 64, "counts": [1, 2], "store": "another"}
    for name, value in {**changes, "scheduled": True, "seal": "", "seed": 2, "dimensions": {}}.items():
        with pytest.raises(StoreError, match="the manifest of the snapshot one is damaged"):
            manifest.read(json.dumps(fields | {name: value}).encode(), "one")


@pytest.mark.parametrize("created", ["", "yesterday", "2026-11-28", "2026-11-28T06:15:00"])
def test_a_time_that_is_none_is_refused_whatever_the_seal_says(text: bytes, created: str) -> None:
    described = msgspec.structs.replace(manifest.read(text, "one"), created=created, seal="")
    seal = hashlib.sha256(msgspec.json.encode(described)).hexdigest()
    with pytest.raises(StoreError, match=f"was made at '{created}'"):
        manifest.read(manifest.written(msgspec.structs.replace(described, seal=seal)), "one")


def test_no_flipped_bit_passes(text: bytes) -> None:
    passed = 0
    for place in range(len(text)):
        spoilt = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        try:
            passed += manifest.written(manifest.read(spoilt, "one")) != text  # white space may flip
        except StoreError:
            continue
    assert passed == 0


@pytest.mark.parametrize("other", [b"", b"{}", b"[1, 2]", b"\xff\xfe", b'{"format": "one"}', b"[" * 100_000])
def test_what_is_no_manifest_is_said_to_be_none(other: bytes) -> None:
    with pytest.raises(StoreError, match="damaged, or not one of StreamMF"):
        manifest.read(other, "one")


def test_a_newer_format_is_said_before_anything_else(text: bytes) -> None:
    newer = json.dumps({"format": 9, "what": "a later release has here"}).encode()
    with pytest.raises(StoreError, match="has format 9, this release reads 1: use the release that wrote it"):
        manifest.read(newer, "one")
