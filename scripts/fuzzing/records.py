"""Records: what the scanner reads of a batch must be, to the bit, what the codec reads of it."""

from collections import Counter
from functools import cache
from typing import Final

import msgpack
import numpy as np

from scripts.fuzzing.target import Target
from streammf.events import codec
from streammf.events.event import MOST_ID_BYTES, MOST_TIME, MOST_VALUE, REASONS, Columns
from streammf.events.records import one_partition
from streammf.events.source import Partition
from streammf.learning.compiling import ready
from streammf.state.ids import Texts
from streammf.trainer.decoding import Decoded, Decoder

PARTITION: Final = Partition("events", 0)
TYPES: Final = ("click", "view", "purchase")
RANGES: Final = ((-MOST_VALUE, MOST_VALUE), (1.0, 5.0))
#: Between two records of one input.
BETWEEN: Final = b"\xff\x00"
#: What stands before and after: a bad record must spoil no other.
PLAIN: Final = b'{"user":"u","item":"i","type":"view","value":2.5,"ts":1700000000000,"id":"e1"}'
GOOD: Final = (
    PLAIN,
    b' {\t"ts" :\r5 ,\n"item": "i" , "user" : "u" } ',
    '{"user":"ü\\u00e9","item":"商品","value":-0.25,"ts":1,"other":{"a":[1,null,true]}}'.encode(),
    b'{"user":"u","item":"i","ts":1700000000,"value":1e2}',
    b'{"type":"forget_user","user":"u"}',
    b'{"type":"delete_item","item":"i","ts":1700000000000}',
    b'{"type":"item","item":"i","categories":["a","b"],"title":"t","hidden":true}',
    b'{"type":"user","user":"u","segment":"a"}',
    bytes(msgpack.packb({"user": "u", "item": "i", "ts": 1_700_000_000_000_000, "value": 3, "id": "x"})),
    BETWEEN.join((PLAIN, b"nonsense", b"", PLAIN)),
)
WORDS: Final = (
    b'"user":',
    b'"item":',
    b'"ts":',
    b'"value":',
    b'"type":',
    b'"id":',
    b"null",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    BETWEEN,
)


def feed(data: bytes) -> str:
    """One batch, by four sets of settings."""
    _compiled()
    values = [PLAIN, *data.split(BETWEEN), PLAIN]
    found: Counter[str] = Counter()
    for number in range(4):
        columns = _agreed(values, RANGES[number % 2], convert_times=number >= 2)
        assert len(columns.users) + len(columns.controls) + len(columns.rejected) == len(values), "records went astray"
        _bounded(columns)
        found.update(record.reason for record in columns.rejected)
    return min(found) if found else "events"


@cache
def _compiled() -> None:
    ready()


def _agreed(values: list[bytes], value_range: tuple[float, float], *, convert_times: bool) -> Columns:
    records = one_partition(PARTITION, 10, values, [1000] * len(values), [None] * len(values))
    ours = Decoder([PARTITION], TYPES, value_range, convert_times=convert_times, with_ids=True).decode(records)
    theirs = codec.decode(records, [PARTITION], TYPES, value_range, convert_times=convert_times, with_ids=True)
    assert _told(ours.users) == theirs.users, "users differ"
    assert _told(ours.items) == theirs.items, "items differ"
    assert ours.ids is not None
    assert _told(ours.ids) == theirs.ids, "ids differ"
    assert [TYPES[kind] for kind in ours.kinds.tolist()] == theirs.types, "types differ"
    assert _columns(ours) == _columns(theirs), "columns differ"
    assert ours.rejected == theirs.rejected, "rejections differ"
    assert ours.controls == theirs.controls, "control events differ"
    assert ours.units == theirs.units, "units differ"
    return theirs


def _columns(found: Decoded | Columns) -> list[bytes]:
    return [column.tobytes() for column in (found.values, found.times, found.partitions, found.offsets)]


def _told(ids: Texts) -> list[str]:
    whole = ids.text.tobytes()
    return [whole[a:b].decode() for a, b in zip(ids.begins.tolist(), ids.stops.tolist(), strict=True)]


def _bounded(columns: Columns) -> None:
    """Nothing leaves the decoder that the model must not meet."""
    assert all(0 < len(text.encode()) <= MOST_ID_BYTES and "\0" not in text for text in columns.users + columns.items)
    assert bool(np.isfinite(columns.values).all())
    assert bool(((columns.times >= 0) & (columns.times <= MOST_TIME)).all())
    assert all(record.reason in REASONS for record in columns.rejected)


RECORDS: Final = Target("records", GOOD, feed, WORDS)
