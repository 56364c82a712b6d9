import json
from typing import Any

import numpy as np
import pytest

from streammf.events.controls import Wrong, control_of
from streammf.events.event import MOST_TIME, NO_ATTRIBUTES, Attributes, Control
from streammf.events.records import PlainRecords, one_partition
from streammf.events.source import Partition

RECORD_TIME = 1000


def record(value: bytes | None, key: bytes | None = None) -> PlainRecords:
    return one_partition(Partition("events", 0), 7, [value], [RECORD_TIME], [key])


def read(**fields: Any) -> Control:
    return control_of(record(json.dumps(fields).encode()), 0, json=True)


def test_an_items_attributes_are_its_categories_each_once_its_title_and_whether_it_is_hidden() -> None:
    told = read(type="item", item="i", categories=["b", "a", "b"], title="T", hidden=True, price=3, ts=5)
    assert told == Control("item", "i", Attributes(("b", "a"), "T", True), 0, 7, 5, 0)


def test_a_users_segment_comes_before_its_categories() -> None:
    assert read(type="user", user="u", categories=["a"], segment="s").attributes == Attributes(("s", "a"))


def test_a_user_is_never_hidden() -> None:
    assert not read(type="user", user="u", hidden=True).attributes.hidden


@pytest.mark.parametrize(("given", "time"), [(None, RECORD_TIME), (5, 5), (-1, -1), (MOST_TIME + 1, -1), (10**17, -1)])
def test_a_time_that_is_none_spoils_no_attributes(given: int | None, time: int) -> None:
    assert read(type="item", item="i", ts=given).time == time


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "item"},
        {"type": "user", "item": "i"},
        {"type": "item", "item": ""},
        {"type": "item", "item": "a\0b"},
        {"type": "item", "item": "ü" * 200},
        {"type": "item", "item": "i", "categories": ["a\0"]},
        {"type": "item", "item": "i", "categories": [""]},
        {"type": "item", "item": "i", "categories": [str(n) for n in range(33)]},
        {"type": "item", "item": "i", "hidden": 1},
        {"type": "forget_user", "item": "i"},
        {"type": "delete_item", "user": "u"},
    ],
)
def test_what_is_wrong_with_a_control_event_is_said_under_its_own_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(Wrong) as wrong:
        read(**fields)
    assert wrong.value.reason == "control"
    assert 0 < len(wrong.value.detail) <= 400


def test_what_is_to_be_forgotten_is_named_and_has_no_attributes() -> None:
    assert read(type="forget_user", user="u", item="i", segment="s") == Control(
        "forget_user", "u", NO_ATTRIBUTES, 0, 7, RECORD_TIME, 0
    )
    assert read(type="delete_item", item="i", hidden=True) == Control("delete_item", "i", NO_ATTRIBUTES, 0, 7, RECORD_TIME, 0)


def test_a_null_value_forgets_the_user_of_its_key() -> None:
    assert control_of(record(None, b"u"), 0, json=False)[:2] == ("forget_user", "u")
    for key in (None, b"", b"\xff", b"a\0", b"u" * 256):
        with pytest.raises(Wrong) as wrong:
            control_of(record(None, key), 0, json=False)
        assert wrong.value.reason == "null"


def test_its_place_is_that_of_its_record() -> None:
    records = one_partition(Partition("events", 0), 7, [b"", b'{"type":"item","item":"i"}'], [1, 2], [None, None])
    records.partitions = np.array([1, 2], np.int32)
    told = control_of(records, 1, json=True)
    assert (told.partition, told.offset, told.time, told.before) == (2, 8, 2, 1)
