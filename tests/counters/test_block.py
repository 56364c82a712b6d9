import pytest

from streammf.counters.block import NOTE_BYTES, OWN, SECONDS, Block, Family

QUERIES = Family("queries_total", "counter", "Queries.", {"op": ("a", "b"), "outcome": ("ok", "no")})
TIMES = Family("query_seconds", "histogram", "Their times.", {"op": ("a", "b")}, (0.1, 1.0))
OPEN = Family("open", "gauge", "Open.")
FAMILIES = (*OWN, QUERIES, TIMES, OPEN)


def numbers(block: Block, family: Family) -> dict[tuple[str, ...], tuple[float, ...]]:
    return {series.labels: series.numbers for series in block.read(family)}


def test_every_combination_of_labels_has_a_number_of_its_own() -> None:
    block = Block.private(FAMILIES)
    for amount, (op, outcome) in enumerate(QUERIES.series(), 1):
        block.counter("queries_total", op, outcome).add(amount)
    block.gauge("open").set(7)
    assert numbers(block, QUERIES) == {("a", "ok"): (1,), ("a", "no"): (2,), ("b", "ok"): (3,), ("b", "no"): (4,)}
    assert block.value("open") == 7
    assert set(numbers(block, TIMES).values()) == {(0, 0, 0, 0)}


def test_a_value_falls_into_the_first_bucket_whose_bound_is_not_below_it() -> None:
    block = Block.private(FAMILIES)
    times = block.histogram("query_seconds", "b")
    for seconds in (0.0, 0.1, 0.11, 1.0, 5.0):
        times.observe(seconds)
    times.observe_all([1, 0, 2], 9.0)
    assert numbers(block, TIMES) == {("a",): (0, 0, 0, 0), ("b",): (3, 2, 3, pytest.approx(15.21))}


def test_what_was_not_declared_cannot_be_counted() -> None:
    block = Block.private(FAMILIES)
    with pytest.raises(ValueError, match="is not in list"):
        block.counter("queries_total", "a", "someone's id")
    with pytest.raises(TypeError, match="is a counter, not a gauge"):
        block.gauge("queries_total", "a", "ok")


def test_a_note_is_replaced_whole_and_never_longer_than_its_place() -> None:
    block = Block.private(FAMILIES)
    assert block.read_note() == b""
    for text in (b"long " * 100, b"short", b"", b"x" * (NOTE_BYTES + 1)):
        block.write_note(text)
        assert text.startswith(block.read_note())
    assert len(block.read_note()) > NOTE_BYTES - 100
    block.gauge("open").set(3)
    assert set(block.read_note()) == {ord("x")}


def test_the_buckets_of_times_begin_at_100_microseconds_and_ascend() -> None:
    assert SECONDS[0] == 1e-4
    assert list(SECONDS) == sorted(set(SECONDS))
