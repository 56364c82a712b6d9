"""What only an object store can do wrong."""

import builtins
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from streammf.errors import ConfigurationError, StoreError
from streammf.state import objects
from streammf.state.objects import Bucket
from streammf.state.options import StoreOptions
from streammf.state.shelf import shelf_at
from streammf.state.store import Store
from tests.state.object_store import BUCKET, s3_server
from tests.state.stores import some_commits


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """One whose parts are small."""
    monkeypatch.setattr(objects, "PART_BYTES", 64 << 10)
    with s3_server() as variables, mock.patch.dict(os.environ, variables):
        yield Bucket(f"s3://{BUCKET}/prefix")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    some_commits(tmp_path / "store")
    with Store.open(StoreOptions(path=str(tmp_path / "store"))) as opened:
        yield opened


def keys(bucket: Bucket) -> list[str]:
    return sorted(each["path"] for batch in bucket._objects.list() for each in batch)


def test_the_data_goes_in_parts_and_the_manifest_last(bucket: Bucket, store: Store) -> None:
    put: list[str] = []
    create = Bucket._create

    def noted(self: Bucket, name: str, key: str, content: bytes, sent: list[str]) -> None:
        put.append(key)
        create(self, name, key, content, sent)

    with mock.patch.object(Bucket, "_create", noted):
        made = bucket.add(store, "one")
    assert len(put) == -(-made.bytes // objects.PART_BYTES) + 1 > 2
    assert put[-1] == "one/manifest.json"
    bucket.remove("one")
    assert keys(bucket) == []


def test_who_comes_second_writes_nothing_over_the_first_one(bucket: Bucket, store: Store) -> None:
    """Between the look at the names and the writing somebody else was quicker: the conditional put says so."""
    made = bucket.add(store, "one")
    with mock.patch.object(Bucket, "names", return_value=[]), pytest.raises(StoreError, match="one is there already"):
        bucket.add(store, "one")
    assert bucket.verify("one") == made


def test_what_was_sent_of_a_snapshot_that_failed_is_taken_back(bucket: Bucket, store: Store) -> None:
    bucket._objects.put("prefix-neighbour", b"not ours")
    before = keys(bucket)
    real, calls = Bucket._create, 0

    def fail(self: Bucket, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreError("the network is gone")
        real(self, *arguments)

    with mock.patch.object(Bucket, "_create", fail), pytest.raises(StoreError, match="the network is gone"):
        bucket.add(store, "one")
    assert keys(bucket) == before == ["prefix-neighbour"]
    assert bucket.names() == []
    assert not (store.path / objects.SENDING).exists()


def test_what_has_no_manifest_is_no_snapshot_and_a_missing_part_is_damage(bucket: Bucket, store: Store) -> None:
    bucket.add(store, "one")
    bucket._objects.put("half/data.mdb.00000", b"sent by a process that was killed")
    assert bucket.names() == ["one"]
    bucket._objects.delete("one/data.mdb.00001")
    with pytest.raises(StoreError, match=r"cannot read the snapshot one in s3://.*: it is not there, or not whole"):
        bucket.verify("one")


def test_a_leftover_of_a_killed_process_is_removed_and_two_at_a_time_are_not(bucket: Bucket, store: Store) -> None:
    leftover = store.path / objects.SENDING / "20260101T000000Z"
    leftover.mkdir(parents=True)
    (leftover / "data.mdb").write_bytes(b"half")
    with objects._staged(store.path / objects.SENDING), pytest.raises(StoreError, match="another snapshot is being sent"):
        bucket.add(store, "one")
    bucket.add(store, "one")
    assert not leftover.exists()


def test_a_bucket_that_is_not_there_and_a_scheme_that_nobody_knows_are_said(bucket: Bucket, store: Store) -> None:
    with pytest.raises(StoreError, match=r"cannot list the snapshots in s3://nowhere/x: .*404"):
        Bucket("s3://nowhere/x").names()
    with pytest.raises(ConfigurationError, match=r"store.snapshots = 'gopher://x/y'"):
        Bucket("gopher://x/y")


def test_a_missing_library_is_said_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "obstore":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'streammf\[objects\]'"):
        shelf_at("s3://bucket/prefix")
