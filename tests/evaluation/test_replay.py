"""Copying a file of events."""

import gzip
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streammf.errors import SourceError
from streammf.evaluation.replay import Plan, Replayed, replay
from streammf.events.codec import decode
from streammf.events.files import FileSource
from streammf.events.log import LogSink, LogSource
from streammf.events.source import Partition

TYPES = {"click", "rating"}


class Kept:
    """A sink that remembers what was asked of it."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes, int]] = []
        self.flushed_at: list[int] = []

    def append(self, key: bytes | None, value: bytes, timestamp: int) -> None:
        self.records.append((key, value, timestamp))

    def flush(self) -> dict[Partition, int]:
        self.flushed_at.append(len(self.records))
        return {Partition("kept", 0): len(self.records) - 1}

    def close(self) -> None:
        self.flush()


def log_of(folder: Path, *events: dict[str, object]) -> FileSource:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return FileSource(path)


def clicks(folder: Path, *times: int) -> FileSource:
    return log_of(folder, *({"user": f"u{n}", "item": "i", "ts": moment} for n, moment in enumerate(times)))


def test_events_go_over_in_order_with_user_and_time_and_unchanged(tmp_path: Path) -> None:
    sink = Kept()
    done = replay(
        log_of(tmp_path, {"user": "é", "item": "i", "ts": 5, "extra": [1]}, {"user": "b", "item": "j", "ts": 4}),
        sink,
        TYPES,
    )
    assert [((key or b"").decode(), json.loads(value)["item"], moment) for key, value, moment in sink.records] == [
        ("é", "i", 5),
        ("b", "j", 4),
    ]
    assert json.loads(sink.records[0][1])["extra"] == [1]
    assert (done.written, done.first_time, done.last_time) == (2, 5, 5)
    assert done.last_offsets == {Partition("kept", 0): 1}


def test_only_the_chosen_time_and_number_are_written(tmp_path: Path) -> None:
    sink = Kept()
    done = replay(clicks(tmp_path, 1, 2, 3, 4, 5), sink, TYPES, Plan(since=2, until=5))
    assert [moment for *_, moment in sink.records] == [2, 3, 4]
    assert (done.written, done.left_out) == (3, 2)
    sink = Kept()
    assert replay(clicks(tmp_path, 1, 2, 3, 4, 5), sink, TYPES, Plan(since=2, limit=2)).written == 2
    assert [moment for *_, moment in sink.records] == [2, 3]


def test_what_is_no_event_is_counted_named_and_left_out(tmp_path: Path) -> None:
    sink = Kept()
    source = log_of(
        tmp_path, {"user": "a", "item": "i", "ts": 1}, {"user": "a"}, {"user": "a", "item": "i", "type": "odd", "ts": 1}
    )
    done = replay(source, sink, TYPES)
    assert (done.written, done.unreadable) == (1, 2)
    assert done.first_unreadable == 1
    assert done.why_unreadable.startswith("missing (")


def test_what_was_written_before_the_source_broke_is_durable_and_counted(tmp_path: Path) -> None:
    rows = "".join(f'{{"user":"u{n}","item":"i{n * n % 9973}","ts":{n}}}\n' for n in range(50_000))
    packed = gzip.compress(rows.encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    sink, done = Kept(), Replayed()
    with pytest.raises(SourceError, match="cannot be read on"):
        replay(FileSource(tmp_path / "cut.jsonl.gz"), sink, TYPES, done=done)
    assert done.written == len(sink.records) == sink.flushed_at[-1] > 0
    assert done.last_offsets == {Partition("kept", 0): done.written - 1}


def test_the_sink_may_refuse_the_time_of_the_first_event_before_anything_is_written(tmp_path: Path) -> None:
    sink = Kept()

    def refuse(moment: int) -> None:
        raise SourceError(f"{moment} is too old")

    with pytest.raises(SourceError, match="2 is too old"):
        replay(clicks(tmp_path, 1, 2, 3), sink, TYPES, Plan(since=2), before_first=refuse)
    assert sink.records == []


def test_speed_keeps_the_distances_between_events_and_shows_them_at_once(tmp_path: Path) -> None:
    sink = Kept()
    at: list[float] = []
    append = sink.append

    def timed(key: bytes | None, value: bytes, timestamp: int) -> None:
        at.append(time.monotonic())
        append(key, value, timestamp)

    sink.append = timed  # type: ignore[method-assign] # watched
    replay(clicks(tmp_path, 0, 1_000, 1_001, 3_000), sink, TYPES, Plan(speed=10))
    # the plan counts from the beginning, a moment before the first event was read
    assert at[1] - at[0] >= 0.09
    assert at[3] - at[0] >= 0.29
    assert sink.flushed_at == [1, 3, 4], "readers see everything that is due before a pause"


def test_progress_is_told_with_what_was_written(tmp_path: Path) -> None:
    told: list[int] = []
    remember: Callable[[Replayed], None] = lambda done: told.append(done.written)  # noqa: E731 - one line says it
    replay(clicks(tmp_path, *range(5_000)), Kept(), TYPES, progress=remember)
    assert told == sorted(told)
    assert told[-1] == 5_000
    assert len(told) >= 3


def test_an_embedded_log_is_copied_too_and_what_arrives_is_what_was_sent(tmp_path: Path) -> None:
    with closing(LogSink(tmp_path / "from", create=True)) as sink:
        replay(clicks(tmp_path, *range(3_000)), sink, TYPES)
    with closing(LogSource(tmp_path / "from")) as source, closing(LogSink(tmp_path / "to", create=True)) as sink:
        done = replay(source, sink, TYPES)
    assert done.last_offsets == {Partition("to", 0): 2_999}
    with closing(LogSource(tmp_path / "to")) as source:
        records = source.poll(5_000, 5)
        assert records is not None
        columns = decode(records, source.partitions, TYPES)
        assert columns.users[:2] == ["u0", "u1"]
        assert columns.times.tolist() == list(range(len(columns.users)))


def test_control_events_go_over_in_their_places_whatever_the_plan(tmp_path: Path) -> None:
    sink = Kept()
    before = int(time.time() * 1000)
    about: dict[str, object] = {"type": "item", "item": "i", "categories": ["c"]}
    lines = [about, {"user": "a", "item": "i", "ts": 1}, {**about, "ts": 7}, {"user": "b", "item": "i", "ts": 9}]
    done = replay(log_of(tmp_path, *lines), sink, TYPES, Plan(since=5))
    assert [key for key, *_ in sink.records] == [b"i", b"i", b"b"]
    assert sink.records[0][2] >= before, "without a time of its own it is said now"
    assert [moment for *_, moment in sink.records[1:]] == [7, 9]
    assert (done.written, done.controls, done.left_out, done.first_time) == (1, 2, 1, 9)
