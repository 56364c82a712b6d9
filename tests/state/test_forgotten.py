"""What a store keeps of what it was told to forget, and what becomes of quarantined records."""

from pathlib import Path

import msgspec
import pytest

from streammf.events.event import Rejected
from streammf.events.source import Partition
from streammf.learning.tables import Axis
from streammf.state.forgotten import BLANK, hasher, naming, naming_hashed
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.forgetters import Kept, in_files, learn, user

SECRET = "0123456789abcdef" * 2


def record(value: bytes, key: bytes | None = None, offset: int = 3) -> Rejected:
    return Rejected(Partition("events", 0), offset, "malformed", "why", value, key, 5)


@pytest.mark.parametrize(
    "value",
    [
        b'{"user": "%s", "item": 3}',
        b'{"user": "%s", "item": ',
        b"\xff%s\xff",
    ],
)
def test_a_record_is_found_by_a_long_id_however_broken_it_is(value: bytes) -> None:
    assert naming([SECRET])(record(value.replace(b"%s", SECRET.encode())))
    assert not naming([SECRET])(record(value.replace(b"%s", SECRET.encode()[:-1] + b"x")))


@pytest.mark.parametrize("name", ["ann", "é", "日本", 'a"b', "🙂"])
def test_a_record_is_found_by_a_short_id_only_as_a_whole_text(name: str) -> None:
    import json

    names = naming([name])
    assert names(record(json.dumps({"user": name}).encode()))
    assert names(record(msgspec.json.encode({"user": name})[:-1]))
    assert names(record(msgspec.msgpack.encode({"user": name, "value": "x"})))
    assert names(record(b"", name.encode()))
    assert not names(record(msgspec.json.encode({"user": f"{name}{name}"}), f"{name}{name}".encode()))


def test_a_record_is_found_by_hash_where_it_can_be_read_and_taken_for_one_that_names_it_elsewhere() -> None:
    hashed = hasher(b"k" * 32)
    names = naming_hashed({hashed(Axis.USER, b"ann"), hashed(Axis.ITEM, b"tea")}, hashed)
    assert names(record(b'{"user": "ann", "value": "x"}'))
    assert names(record(msgspec.msgpack.encode({"item": "tea"})))
    assert names(record(b"\xff", b"ann"))
    assert not names(record(b'{"user": "tea", "item": "ann"}'))
    assert names(record(b"[1]"))
    assert names(record(b'{"userId": "ann", "item": "cup"}'))


def test_hashes_are_of_a_key_and_an_axis() -> None:
    assert len({hasher(key)(axis, b"ann") for key in (b"a" * 32, b"b" * 32) for axis in (Axis.USER, Axis.ITEM)}) == 4


def test_what_was_forgotten_is_kept_as_hashes_and_quarantined_records_that_name_it_are_blank(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        kept = Kept(store)
        learn(kept.model, 1)
        kept.commit([record(b'{"user": "%s", "value": "x"}' % user(3).encode()), record(b"other", None, 4)])
        kept.forget(Axis.USER, user(3))
        kept.forget(Axis.ITEM, "item-7")
        later = record(b'{"user": "%s"}' % user(3).encode(), None, 9)  # rejected after it was forgotten
        kept.commit([later])
        kept.commit()
        with store.read() as reading:
            aside, told = dict(reading.quarantined()), reading.forgotten()
    assert (aside[0].value, aside[0].key, aside[0].detail) == (None, None, BLANK)
    assert (aside[0].offset, aside[0].reason) == (3, "malformed")
    assert aside[1] == record(b"other", None, 4)
    assert aside[2] == later
    hashed = hasher(store.key)
    assert {(e.axis, e.hash) for e in told} == {
        (Axis.USER, hashed(Axis.USER, user(3).encode())),
        (Axis.ITEM, hashed(Axis.ITEM, b"item-7")),
    }
    assert {(e.topic, e.partition, e.offset, e.cleared) for e in told} == {("events", 0, 300, 0)}
    assert in_files(tmp_path, store.key), "the key is in the store, and the hashes mean nothing without it"
