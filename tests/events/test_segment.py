"""The records of a segment: found up to the first tear and no further, whatever bytes follow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.events.segment import MOST_RECORD_BYTES, pack, scan

#: (key, value, timestamp)
RECORDS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=60), st.integers(-(2**63), 2**63 - 1)))


@pytest.mark.parametrize("length", [0, 11, MOST_RECORD_BYTES + 13, 2**32 - 1])
def test_a_scan_calls_an_impossible_length_broken_and_an_unfinished_record_not(length: int) -> None:
    packed = pack(b"key", b"value", 1)
    assert scan(length.to_bytes(4, "little") + packed[4:], 0, 10).broken
    assert not any(scan(packed[:stop], 0, 10).broken for stop in range(len(packed)))


@settings(max_examples=500, deadline=None)
@given(RECORDS, st.integers(0, 10_000), st.binary(max_size=80))
def test_a_scan_finds_exactly_the_records_before_a_tear_whatever_follows_it(
    written: list[tuple[bytes, bytes, int]], cut: int, garbage: bytes
) -> None:
    packed = [pack(*record) for record in written]
    whole = b"".join(packed)
    torn = whole[: cut % (len(whole) + 1)]
    before = scan(torn, 0, 1000)
    found = list(zip(before.keys, before.values, before.timestamps, strict=True))
    assert found == written[: len(found)]
    assert before.stop == sum(map(len, packed[: len(found)]))
    assert len(torn) - before.stop < (len(packed[len(found)]) if len(found) < len(packed) else 1)
    after = scan(torn + garbage, 0, 1000)
    assert after.values[: len(found)] == before.values
