"""Columns from bytes: the codec decodes every batch too, and the two must agree in everything, bit for bit."""

import json
from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.events import codec
from streammf.events.event import MOST_ID_BYTES, MOST_TIME, MOST_VALUE
from streammf.events.records import PlainRecords
from streammf.events.source import Partition
from streammf.learning.compiling import ready
from streammf.state.ids import Texts
from streammf.trainer.decoding import Decoded, Decoder

PARTITIONS = (Partition("events", 0), Partition("events", 1))
TYPES = ("click", "view", "purchase")
RANGE = (-100.0, 0.7)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    ready()


def batch_of(values: Sequence[bytes | None], first: int = 10) -> PlainRecords:
    count = len(values)
    return PlainRecords(
        values=values,
        partitions=(np.arange(count) % 2).astype(np.int32),
        offsets=np.arange(first, first + count, dtype=np.int64),
        positions=dict.fromkeys(PARTITIONS, first + count),
        timestamps=[1000 + i for i in range(count)],
        keys=[b"key-%d" % i for i in range(count)],
    )


def told(ids: Texts) -> list[str]:
    whole = ids.text.tobytes()
    return [whole[a:b].decode() for a, b in zip(ids.begins.tolist(), ids.stops.tolist(), strict=True)]


def decoded(
    values: Sequence[bytes | None], types: Sequence[str] = TYPES, value_range: tuple[float, float] = (-MOST_VALUE, MOST_VALUE)
) -> Decoded:
    """What comes out, once it was found to be what the codec says."""
    both(values, types, value_range, convert_times=True)
    assert both(values, types, value_range, convert_times=False, with_ids=False).ids is None
    return both(values, types, value_range, convert_times=False)


def both(
    values: Sequence[bytes | None],
    types: Sequence[str],
    value_range: tuple[float, float],
    *,
    convert_times: bool,
    with_ids: bool = True,
) -> Decoded:
    records = batch_of(values)
    ours = Decoder(PARTITIONS, types, value_range, convert_times=convert_times, with_ids=with_ids).decode(records)
    theirs = codec.decode(records, PARTITIONS, types, value_range, convert_times=convert_times, with_ids=with_ids)
    assert (told(ours.ids) if ours.ids else []) == theirs.ids
    assert told(ours.users) == theirs.users
    assert told(ours.items) == theirs.items
    assert [types[kind] for kind in ours.kinds.tolist()] == theirs.types
    for name in ("values", "times", "partitions", "offsets"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == other.dtype
        assert mine.tobytes() == other.tobytes(), name
    assert ours.rejected == theirs.rejected
    assert ours.controls == theirs.controls
    assert ours.units == theirs.units
    return ours


def written(**fields: Any) -> bytes:
    return json.dumps({"user": "u", "item": "i", "ts": 5, **fields}).encode()


@pytest.fixture
def asked_of_the_codec(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records the decoder leaves to the codec, batch by batch."""
    asked: list[int] = []
    real = codec.decode

    def counted(records: Any, *others: Any, **named: Any) -> Any:
        asked.append(len(records.values))
        return real(records, *others, **named)

    monkeypatch.setattr(codec, "decode", counted)
    return asked


PLAIN = [
    b'{"user":"u","item":"i","ts":0}',
    b' {\t"ts" :\r5 ,\n"item": "i" , "user" : "u" } ',
    b'{"user":"u","item":"i","type":"purchase","value":0,"ts":1,"id":"e1"}',
    b'{"user":"u","item":"i","value":-0.25,"ts":1,"other":"text","more":12.5,"us":"x","usea":"y"}',
    b'{"user":"u","item":"i","value":0.1234567890123,"ts":4294967295000}',
    b'{"user":"u","item":"i","value":999999.999999999,"ts":17}',
    b'{"user":"u","item":"i","value":16777217,"ts":17}'.replace(b"16777217", b"167773"),
    b'{"id":"","user":"u","item":"i","ts":1}',
    b'{"id":"' + b"x" * 1000 + b'","user":"u","item":"i","ts":1}',
    b'{"user":"' + b"u" * MOST_ID_BYTES + b'","item":"{}[],:","ts":1}',
]


@pytest.mark.parametrize("value", PLAIN)
def test_a_plain_event_is_not_the_codecs_work(value: bytes, asked_of_the_codec: list[int]) -> None:
    assert len(Decoder(PARTITIONS, TYPES, (-MOST_VALUE, MOST_VALUE)).decode(batch_of([value])).values) == 1
    assert asked_of_the_codec == []
    decoded([value])


HEAD = b'{"user":"u","item":"i","ts":1,'
OTHERS: list[bytes | None] = [
    None, b'', b' ', b'{', b'{}', b'[]', b'nonsense', b'{"', b'{"user', b'{"user"', b'{"user":', b'{"user":"u',
    b'{"user":"u"', b'{"user":"u",}', b'{"user":"u","item":"i","ts":1}x', b'{"user":"u","item":"i","ts":1}}',
    b'{"user":"u","item":"i","ts":1}{"user":"u","item":"i","ts":1}', b'{"user":"u" "item":"i","ts":1}',
    b'{,"user":"u","item":"i","ts":1}', b'{"user":"u","user":"v","item":"i","ts":1}', b'{"us\\u0065r":"v","item":"i","ts":1}',
    b'{"user":"a\\nb","item":"i","ts":1}', b'{"user":"\\u0000","item":"i","ts":1}', b'{"user":"a\x00b","item":"i","ts":1}',
    b'{"user":"a\nb","item":"i","ts":1}', '{"user":"ü","item":"商品","ts":1}'.encode(), b'{"user":"\xff","item":"i","ts":1}',
    b'{"user":"","item":"i","ts":1}', b'{"user":"u","item":"i"}', b'{"user":"u","ts":1}',
    b'{"user":"' + b"u" * 256 + b'","item":"i","ts":1}', b'{"user":5,"item":"i","ts":1}', b'{"user":null,"item":"i","ts":1}',
    b'{"user":"u","item":"i","ts":"1"}', b'{"user":"u","item":"i","ts":1,"id":"a\\u0000b\\u00e9"}',
    b'{"user":"u","item":"i","ts":1.0}', b'{"user":"u","item":"i","ts":-1}',
    b'{"user":"u","item":"i","ts":01}', b'{"user":"u","item":"i","ts":1e3}', b'{"user":"u","item":"i","ts":null}',
    b'{"user":"u","item":"i","ts":4294967295001}', b'{"user":"u","item":"i","ts":1700000000}',
    b'{"user":"u","item":"i","ts":1700000000000000}', b'{"user":"u","item":"i","ts":1700000000000000000}',
    b'{"user":"u","item":"i","ts":99999999999999999999}',
    bytes(msgpack.packb({"user": "u", "item": "i", "ts": 7})), b"\xef\xbb\xbf" + PLAIN[0],
    *(
        HEAD + rest for rest in (
            b'}', b'"ts":2}', b'"x":"\xff"}', b'"value":-0}', b'"value":-0.0}', b'"value":1.}', b'"value":.5}', b'"value":-}',
            b'"value":+1}', b'"value":1e2}', b'"value":1.2.3}', b'"value":0.12345678901234567890}', b'"value":1000001}',
            b'"value":1000000.01}', b'"value":NaN}', b'"value":"1"}', b'"type":"strange"}', b'"type":""}',
            b'"type":"forget_user"}', b'"type":"item","categories":["a"]}', b'"type":"user","segment":"a"}',
            b'"id":7}', b'"id":null}', b'"x":true}', b'"x":{"user":"v"}}', b'"x":[1,2]}', b'"x":-01}',
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("value", OTHERS)
def test_what_is_not_plain_is_decided_by_the_codec_in_its_place_among_plain_events(value: bytes | None) -> None:
    decoded([value])
    decoded([PLAIN[0], value, PLAIN[2]])


def test_all_of_them_together_and_again_within_bounds() -> None:
    mixed = [*PLAIN, *OTHERS, *PLAIN[::-1], *OTHERS]
    assert decoded(mixed).rejected
    decoded(mixed, value_range=RANGE)
    decoded(mixed, types=("view", "purchase"))  # who names no type is refused then
    assert len(decoded([]).values) == 0


def test_bounds_are_those_of_float32_as_the_codec_has_them() -> None:
    values = [
        f'{{"user":"u","item":"i","ts":1,"value":{number}}}'.encode() for number in ("0.7", "0.70000001", "0.7000001", "-100")
    ]
    decoded(values, value_range=RANGE)


def test_what_is_left_out_later_leaves_the_others_ids() -> None:
    whole = decoded([written(user=f"u{n}", item=f"ï{n % 3}") for n in range(9)])
    kept = np.arange(9) % 2 == 0
    assert told(whole.only(kept).users) == [f"u{n}" for n in range(0, 9, 2)]
    assert told(whole.only(kept).items) == [f"ï{n % 3}" for n in range(0, 9, 2)]


TOKENS = st.sampled_from([
    b'{', b'}', b':', b',', b' ', b'"', b'"user"', b'"item"', b'"ts"', b'"value"', b'"type"', b'"id"', b'"click"', b'"view"',
    b'"u"', b'1', b'-', b'0', b'.', b'5', b'e', b'null', b'true', b'[', b']', b'\\', b'\n', b'\xc3\xa9', b'\x00',
    b'{"user":"u","item":"i","ts":', b'{"item":"i","user":"u","value":',
])  # fmt: skip
#: Seconds, µs and ns, and what lies between.
TIMES = st.builds(lambda time, factor: time * factor, st.integers(0, 4_294_967_296), st.sampled_from([1, 10**6, 10**9]))
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "user": st.text(max_size=5) | st.integers(),
        "item": st.text(max_size=300),
        "type": st.sampled_from([*TYPES, "strange", "", "item", "user", "delete_item"]),
        "value": st.floats() | st.integers() | st.decimals(-9999, 9999, places=4).map(float),
        "ts": st.integers(-1, MOST_TIME + 1) | st.none() | st.floats() | TIMES,
        "id": st.text(max_size=5) | st.none() | st.integers(),
        "extra": st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), st.lists, max_leaves=4),
    },
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.lists(TOKENS, max_size=12).map(b"".join)
        | EVENTS.map(lambda fields: json.dumps(fields, ensure_ascii=False).encode(errors="replace"))
        | EVENTS.map(lambda fields: json.dumps(fields, separators=(",", ":")).encode())
        | st.sampled_from(PLAIN).flatmap(lambda good: st.integers(0, len(good)).map(lambda end: good[:end]))
        | st.binary(max_size=20),
        max_size=12,
    )
)
def test_whatever_bytes_come_the_codec_would_say_the_same(values: list[bytes]) -> None:
    decoded(values)


@settings(deadline=None, max_examples=300)
@given(st.decimals(-10_000_000, 10_000_000, allow_nan=False, places=6), st.integers(0, 6))
def test_numbers_round_as_the_codec_rounds_them(number: Any, places: int) -> None:
    decoded([f'{{"user":"u","item":"i","ts":1,"value":{number:.{places}f}}}'.encode()])
