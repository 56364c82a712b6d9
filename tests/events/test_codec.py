"""The codec: what an event may be, what each bad record is called, and that no bytes at all break it."""

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.events.codec import decode, encode_json, encode_msgpack
from streammf.events.event import CONTROL_TYPES, MOST_TIME, MOST_VALUE, Columns, Event, unit_of
from streammf.events.records import PlainRecords
from streammf.events.source import Partition

PARTITIONS = (Partition("events", 0), Partition("events", 1))
TYPES = ("click", "view", "purchase")
REASONS = {"malformed", "missing", "type", "id", "value", "time", "unknown_type", "control", "null"}


def batch_of(values: Sequence[bytes | None], timestamp: int = 1000) -> PlainRecords:
    """Records at offsets 10, 11, ... of the second partition, whose keys are no text: a null value names nobody."""
    count = len(values)
    return PlainRecords(
        values=values,
        partitions=np.ones(count, np.int32),
        offsets=np.arange(10, 10 + count, dtype=np.int64),
        positions={PARTITIONS[0]: 0, PARTITIONS[1]: 10 + count},
        timestamps=[timestamp + i for i in range(count)],
        keys=[b"key-%d\xff" % i for i in range(count)],
    )


def decoded(*values: bytes | None, timestamp: int = 1000) -> Columns:
    columns = decode(batch_of(values, timestamp), PARTITIONS, TYPES)
    check_shape(columns, len(values))
    return columns


def check_shape(columns: Columns, count: int) -> None:
    """Every record is in the columns or rejected; what is in the columns is what the rules allow."""
    good = len(columns.users)
    assert good == len(columns.items) == len(columns.types)
    assert (good,) == columns.values.shape == columns.times.shape == columns.partitions.shape == columns.offsets.shape
    arrays = columns.values, columns.times, columns.partitions, columns.offsets
    assert [array.dtype.name for array in arrays] == ["float32", "int64", "int32", "int64"]
    others = [bad.offset for bad in columns.rejected] + [control.offset for control in columns.controls]
    offsets = columns.offsets.tolist() + others
    assert sorted(offsets) == list(range(10, 10 + count))
    assert columns.offsets.tolist() == sorted(columns.offsets.tolist())
    assert [bad.offset for bad in columns.rejected] == sorted(bad.offset for bad in columns.rejected)
    assert all(1 <= len(text.encode()) <= 255 and "\0" not in text for text in columns.users + columns.items)
    assert set(columns.types) <= set(TYPES)
    assert np.isfinite(columns.values).all()
    assert (np.abs(columns.values) <= MOST_VALUE).all()
    assert ((columns.times >= 0) & (columns.times <= MOST_TIME)).all()
    assert {bad.reason for bad in columns.rejected} <= REASONS
    assert all(0 < len(bad.detail) < 1000 for bad in columns.rejected)


def packed(**fields: Any) -> bytes:
    """By msgpack, not by msgspec: two implementations keep the format honest."""
    return bytes(msgpack.packb(fields))


def written(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("encode", [written, packed])
def test_an_event_becomes_a_row_of_columns_in_either_format(encode: Any) -> None:
    columns = decoded(
        encode(user="u", item="i", type="view", value=2.5, ts=77, id="e1", other=[1, {"a": None}]),
        encode(user="ü", item="商品"),
        encode(user="u", item="i", value=3, ts=None),
    )
    assert columns.users == ["u", "ü", "u"]
    assert columns.items == ["i", "商品", "i"]
    assert columns.types == ["view", "click", "click"]
    assert columns.values.tolist() == [2.5, 1.0, 3.0]
    assert columns.times.tolist() == [77, 1001, 1002]
    assert columns.partitions.tolist() == [1, 1, 1]
    assert columns.rejected == []


def test_formats_may_alternate_within_a_batch() -> None:
    values = [(written if n % 3 else packed)(user=f"u{n}", item="i") for n in range(50)]
    columns = decoded(*values)
    assert columns.users == [f"u{n}" for n in range(50)]


@pytest.mark.parametrize("space", [b" ", b"\t", b"\n", b"\r", b" \r\n\t"])
def test_json_may_begin_and_end_with_white_space(space: bytes) -> None:
    assert decoded(packed(user="u", item="i"), space + written(user="v", item="i") + space).users == ["u", "v"]


BAD: list[tuple[str, bytes | None]] = [
    ("null", None),
    ("malformed", b""),
    ("malformed", b" "),
    ("malformed", b"{"),
    ("malformed", b"nonsense"),
    ("malformed", b"[]"),
    ("malformed", b"5"),
    ("malformed", b"\x00"),
    ("malformed", b"\xc0"),
    ("malformed", b"\x81"),
    ("malformed", b"\xdf\xff\xff\xff\xff"),
    ("malformed", b"\xef\xbb\xbf" + written(user="u", item="i")),
    ("malformed", written(user="u", item="i") + b"x"),
    ("malformed", written(user="u", item="i") * 2),
    ("malformed", b'{"user":"u","item":"i","value":NaN}'),
    ("malformed", b'{"user":"u\xff","item":"i"}'),
    ("malformed", b'{"user":"u\xed\xa0\x80","item":"i"}'),
    ("malformed", b'{"user":"\\ud800","item":"i"}'),
    ("malformed", b'{"user":"u","item":"i","x":' + b"[" * 100_000),
    ("malformed", b"\x83\xa4user\xa1u\xa4item\xa1i\xa1x" + b"\x91" * 100_000),
    ("malformed", b"\x82\xa4user\xa1\xff\xa4item\xa1i"),
    ("malformed", packed(user="u", item="i")[:-1]),
    ("malformed", bytes(msgpack.packb({"user": "u", "item": "i", 5: 6}))),
    ("missing", b"{}"),
    ("missing", b"\x80"),
    ("missing", written(item="i")),
    ("missing", packed(user="u")),
    ("id", written(user="", item="i")),
    ("id", written(user=5, item="i")),
    ("id", written(user=None, item="i")),
    ("id", written(user="u", item=["i"])),
    ("id", written(user="u", item="i", id=5)),
    ("id", written(user="u" * 256, item="i")),
    ("id", written(user="u", item="ü" * 128)),
    ("id", packed(user="商" * 86, item="i")),
    ("id", packed(user="u", item=b"i")),
    ("id", written(user="u\0", item="i")),
    ("id", packed(user="u", item="\0")),
    ("type", written(user="u", item="i", type=1)),
    ("type", written(user="u", item="i", type=None)),
    ("value", written(user="u", item="i", value="1")),
    ("value", written(user="u", item="i", value=True)),
    ("value", written(user="u", item="i", value=None)),
    ("value", written(user="u", item="i", value=1e7)),
    ("value", written(user="u", item="i", value=10**400)),
    ("value", b'{"user":"u","item":"i","value":1e999}'),
    ("value", packed(user="u", item="i", value=math.nan)),
    ("value", packed(user="u", item="i", value=math.inf)),
    ("value", packed(user="u", item="i", value=-math.inf)),
    ("value", packed(user="u", item="i", value=2**64 - 1)),
    ("time", written(user="u", item="i", ts=-1)),
    ("time", written(user="u", item="i", ts=MOST_TIME + 1)),
    ("time", written(user="u", item="i", ts=10**30)),
    ("time", written(user="u", item="i", ts=1.5)),
    ("time", written(user="u", item="i", ts="yesterday")),
    ("time", packed(user="u", item="i", ts=2**64 - 1)),
    ("unknown_type", written(user="u", item="i", type="veiw")),
    ("unknown_type", written(user="u", item="i", type="")),
    ("unknown_type", packed(user="u", item="i", type="x" * 10_000)),
    ("control", written(item="i", type="forget_user")),
    ("control", packed(user="u", type="delete_item")),
    ("control", written(user="u", type="item")),
    ("control", written(item="i", type="item", categories="not a list")),
    ("control", packed(user="u", type="user", segment="x" * 256)),
]


@pytest.mark.parametrize(("reason", "value"), BAD)
def test_each_bad_record_is_named_and_spoils_no_other(reason: str, value: bytes | None) -> None:
    good = written(user="a", item="b"), packed(user="c", item="d")
    columns = decoded(good[0], value, value, good[1])
    assert columns.users == ["a", "c"]
    assert columns.offsets.tolist() == [10, 13]
    assert columns.times.tolist() == [1000, 1003]
    assert [bad.reason for bad in columns.rejected] == [reason, reason]
    first = columns.rejected[0]
    assert (first.partition, first.offset, first.value) == (PARTITIONS[1], 11, value)
    assert (first.key, first.timestamp) == (b"key-1\xff", 1001)


def test_all_bad_records_together_give_no_event() -> None:
    columns = decoded(*(value for _, value in BAD))
    assert [bad.reason for bad in columns.rejected] == [reason for reason, _ in BAD]
    assert columns.users == []


def test_an_empty_batch_is_empty_columns() -> None:
    assert decoded().users == []


def test_ids_of_exactly_255_bytes_pass() -> None:
    ids = ["u" * 255, "商" * 85, "ü" * 127 + "u"]
    assert decoded(*(written(user=text, item=text) for text in ids)).users == ids


def test_the_largest_and_smallest_values_and_times_pass() -> None:
    columns = decoded(
        written(user="u", item="i", value=MOST_VALUE, ts=MOST_TIME), packed(user="u", item="i", value=-MOST_VALUE, ts=0)
    )
    assert columns.values.tolist() == [MOST_VALUE, -MOST_VALUE]
    assert columns.times.tolist() == [MOST_TIME, 0]


def test_a_value_outside_the_range_that_the_model_learns_from_names_the_setting() -> None:
    values = [written(user="u", item="i", value=value) for value in (0.99, 1, 5, 5.01, 1e300)]
    columns = decode(batch_of([*values, b"nonsense"]), PARTITIONS, TYPES, value_range=(2, 5))
    assert columns.values.tolist() == [5.0]
    assert [(bad.reason, bad.offset) for bad in columns.rejected] == [
        ("value", 10),
        ("value", 11),
        ("value", 13),
        ("value", 14),
        ("malformed", 15),
    ]
    assert columns.rejected[1].detail == "1.0 is outside learning.scale = [2, 5]"


@pytest.mark.parametrize("timestamp", [-1, MOST_TIME + 1])
def test_an_event_without_a_time_of_its_own_needs_a_good_one_of_its_record(timestamp: int) -> None:
    columns = decoded(written(user="u", item="i"), timestamp=timestamp)
    assert [bad.reason for bad in columns.rejected] == ["time"]
    assert decoded(written(user="u", item="i", ts=5), timestamp=timestamp).times.tolist() == [5]


def test_an_unknown_type_names_the_setting_and_what_it_allows() -> None:
    (bad,) = decoded(written(user="u", item="i", type="veiw")).rejected
    assert bad.detail == "type 'veiw' is not among learning.types (click, purchase, view)"


def test_a_control_type_stays_control_even_where_the_setting_allows_it() -> None:
    columns = decode(batch_of([written(user="u", item="i", type="item")]), PARTITIONS, [*TYPES, *CONTROL_TYPES])
    assert [control.kind for control in columns.controls] == ["item"]
    assert columns.users == []


def test_a_control_event_stands_between_the_events_before_and_after_it() -> None:
    good = written(user="a", item="b")
    about = written(type="item", item="i", categories=["x"]), packed(type="user", user="u", segment="s")
    columns = decoded(about[0], good, b"nonsense", good, about[1], good, about[0])
    assert [(one.kind, one.id, one.offset, one.before) for one in columns.controls] == [
        ("item", "i", 10, 0), ("user", "u", 14, 2), ("item", "i", 16, 3),
    ]  # fmt: skip
    assert columns.offsets.tolist() == [11, 13, 15]
    assert [one.before for one in columns.only(np.array([False, True, False])).controls] == [0, 1, 1]


EVENTS = st.builds(
    Event,
    user=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=63),
    item=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=63),
    type=st.sampled_from(TYPES),
    value=st.floats(-MOST_VALUE, MOST_VALUE),
    ts=st.integers(0, MOST_TIME).filter(lambda time: not unit_of(time)),
    id=st.none() | st.text(st.characters(codec="utf-8")),
)


@given(st.lists(EVENTS), st.lists(st.booleans(), min_size=1))
def test_what_is_encoded_is_decoded(events: list[Event], formats: list[bool]) -> None:
    encoders = [encode_json if formats[n % len(formats)] else encode_msgpack for n in range(len(events))]
    columns = decoded(*(encode(event) for encode, event in zip(encoders, events, strict=True)))
    assert columns.rejected == []
    assert columns.users == [event.user for event in events]
    assert columns.items == [event.item for event in events]
    assert columns.types == [event.type for event in events]
    assert columns.values.tolist() == [float(np.float32(event.value)) for event in events]
    assert columns.times.tolist() == [event.ts for event in events]


@given(EVENTS)
def test_the_standard_libraries_read_what_is_encoded(event: Event) -> None:
    fields = json.loads(encode_json(event))
    assert fields == msgpack.unpackb(encode_msgpack(event)) == msgspec.to_builtins(event)


@settings(max_examples=1000)
@given(st.lists(st.none() | st.binary(max_size=200)))
def test_any_bytes_give_columns(values: list[bytes | None]) -> None:
    decoded(*values)


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=300) | st.binary()
FIELDS = st.dictionaries(
    st.sampled_from(["user", "item", "type", "value", "ts", "id", "other"]),
    SCALARS | st.lists(SCALARS) | st.sampled_from(["click", "item", "u"]),
)


@settings(max_examples=1000)
@given(st.lists(FIELDS), st.randoms(use_true_random=False))
def test_maps_of_any_fields_give_columns_even_where_bytes_are_damaged(maps: list[dict[str, Any]], random: Any) -> None:
    values = []
    for fields in maps:
        value = bytearray(_dumped(fields) if random.random() < 0.5 else _packed(fields))
        if random.random() < 0.3:
            value[random.randrange(len(value))] = random.randrange(256)
        values.append(bytes(value))
    decoded(*values)


def _packed(fields: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb(fields, unicode_errors="surrogatepass"))


def _dumped(fields: dict[str, Any]) -> bytes:
    """With NaN and Infinity, which JSON has not."""
    return json.dumps(fields, default=lambda value: value.decode("latin-1")).encode()


def test_nesting_as_deep_as_the_interpreter_allows_is_rejected_wherever_the_decoder_is_called_from() -> None:
    deep = b'{"user":"u","item":"i","x":' + b"[" * 5000 + b"]" * 5000 + b"}"

    def call(depth: int) -> list[str]:
        return call(depth - 1) if depth else [bad.reason for bad in decoded(deep).rejected]

    assert call(0) == ["malformed"]
    assert call(sys.getrecursionlimit() // 2) == ["malformed"]


@pytest.mark.parametrize(
    ("time", "unit", "meant"),
    [
        (1_700_000_000, "seconds", 1_700_000_000_000),
        (100_000_000, "seconds", 100_000_000_000),
        (4_294_967_295, "seconds", 4_294_967_295_000),
        (1_700_000_000_123_456, "microseconds", 1_700_000_000_123),
        (100_000_000_000_000, "microseconds", 100_000_000_000),
        (1_700_000_000_123_456_789, "nanoseconds", 1_700_000_000_123),
        (4_294_967_295_000_000_000, "nanoseconds", 4_294_967_295_000),
    ],
)
def test_a_time_in_another_unit_is_told_by_its_size(time: int, unit: str, meant: int) -> None:
    value = encode_json(Event("u", "i", ts=time))
    rejected = decode(batch_of([value]), PARTITIONS, TYPES)
    assert [(one.reason, unit in one.detail) for one in rejected.rejected] == [("time", True)]
    converted = decode(batch_of([value]), PARTITIONS, TYPES, convert_times=True)
    assert (converted.times.tolist(), converted.rejected) == ([meant], [])
    assert rejected.units == converted.units == {unit: 1}


@pytest.mark.parametrize("time", [0, 99_999_999, 4_294_967_296, 10_000_000_000, MOST_TIME])
def test_a_time_that_may_be_ms_is_taken_as_ms(time: int) -> None:
    assert decode(batch_of([encode_json(Event("u", "i", ts=time))]), PARTITIONS, TYPES).times.tolist() == [time]


@pytest.mark.parametrize("time", [MOST_TIME + 1, 99_999_999_999_999, 4_294_967_295_001_000, 99_999_999_999_999_999])
def test_a_time_that_fits_no_unit_is_no_time(time: int) -> None:
    found = decode(batch_of([encode_json(Event("u", "i", ts=time))]), PARTITIONS, TYPES, convert_times=True)
    assert [(one.reason, found.units) for one in found.rejected] == [("time", {})]


def test_a_records_own_time_in_another_unit_is_told_as_well() -> None:
    stamped = batch_of([b'{"user":"u","item":"i"}'], 1_700_000_000_000_000_000)
    assert "nanoseconds" in decode(stamped, PARTITIONS, TYPES).rejected[0].detail
    assert decode(stamped, PARTITIONS, TYPES, convert_times=True).times.tolist() == [1_700_000_000_000]
