"""The embedded log: the battery, several appenders, killed ones, torn tails, damage, and what it tells its user."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.errors import DataLossError, SourceError
from streammf.events.log import LogOptions, LogSink, LogSource
from streammf.events.segment import MOST_RECORD_BYTES, pack, scan
from streammf.events.source import Partition
from tests.contracts import GrowingSourceContract, Record, read, records
from tests.events.test_segment import RECORDS


class LogMaker:
    """Small segments, so that every test of the battery crosses several."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, written: Sequence[Record]) -> None:
        sink = LogSink(self.folder, create=True, segment_bytes=2000)
        for n, record in enumerate(written):
            sink.append(*record)
            if n % 10 == 9:
                sink.flush()
        sink.close()

    def open(self) -> LogSource:
        return LogSource(self.folder)

    def forget(self, partition: Partition) -> int:
        first, second, third, *_ = segments(self.folder)
        first.unlink()
        second.unlink()
        return int(third.stem)


class TestLog(GrowingSourceContract):
    @pytest.fixture
    def maker(self, tmp_path: Path) -> LogMaker:
        return LogMaker(tmp_path / "log")


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def append(folder: Path, *values: bytes) -> dict[Partition, int]:
    sink = LogSink(folder, create=True)
    for value in values:
        sink.append(b"key", value, 5)
    written = sink.flush()
    sink.close()
    return written


def values_of(folder: Path) -> list[bytes | None]:
    """Everything that a new reader finds."""
    source = LogSource(folder)
    values: list[bytes | None] = []
    while (batch := source.poll(1000, 0)) is not None:
        values.extend(batch.values)
    source.close()
    return values


def test_flush_tells_the_offset_of_the_last_record_and_is_durable_for_readers(tmp_path: Path) -> None:
    sink = LogSink(tmp_path / "clicks", create=True)
    assert sink.flush() == {}
    sink.append(b"", b"a", 0)
    sink.append(b"", b"b", 0)
    assert values_of(tmp_path / "clicks") == []
    assert sink.flush() == {Partition("clicks", 0): 1}
    assert values_of(tmp_path / "clicks") == [b"a", b"b"]
    sink.append(b"", b"c", 0)
    sink.close()
    sink.close()
    assert values_of(tmp_path / "clicks") == [b"a", b"b", b"c"]


def test_a_sink_does_not_collect_without_bound(tmp_path: Path) -> None:
    sink = LogSink(tmp_path / "log", create=True)
    for _ in range(3):
        sink.append(b"", b"x" * (MOST_RECORD_BYTES // 2), 0)
    assert len(values_of(tmp_path / "log")) == 2
    sink.close()


def test_a_record_of_the_largest_size_passes_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    sink = LogSink(tmp_path / "log", create=True)
    sink.append(b"k" * 100, b"x" * (MOST_RECORD_BYTES - 100), 0)
    with pytest.raises(SourceError, match=f"at most {MOST_RECORD_BYTES}"):
        sink.append(b"k", b"x" * MOST_RECORD_BYTES, 0)
    sink.append(b"", b"", -(2**63))
    sink.close()
    assert [len(value or b"") for value in values_of(tmp_path / "log")] == [MOST_RECORD_BYTES - 100, 0]


def test_sinks_that_are_open_together_append_behind_each_other(tmp_path: Path) -> None:
    sinks = [LogSink(tmp_path / "log", create=True, segment_bytes=100) for _ in range(3)]
    for n in range(30):
        sinks[n % 3].append(b"", b"%d" % n, n)
        assert sinks[n % 3].flush() == {Partition("log", 0): n}
    assert values_of(tmp_path / "log") == [b"%d" % n for n in range(30)]
    assert len(segments(tmp_path / "log")) > 3


APPENDER = """
import sys
from pathlib import Path
from streammf.events.log import LogSink
sink = LogSink(Path(sys.argv[1]), create=True, segment_bytes=20_000)
n = 0
while n < int(sys.argv[3]):
    for _ in range(7):
        sink.append(sys.argv[2].encode(), b"%d" % n + b"." * (n % 50), n)
        n += 1
    sink.flush()
    print(n, flush=True)
"""


def appender(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Another process: appends `count` numbered records, seven a flush; says after each flush how many are durable."""
    command = [sys.executable, "-c", APPENDER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def numbers_by_key(folder: Path) -> dict[bytes | None, list[int]]:
    source = LogSource(folder)
    found: dict[bytes | None, list[int]] = {}
    while (batch := source.poll(1000, 0)) is not None:
        for i, value in enumerate(batch.values):
            assert value is not None
            number = int(value.rstrip(b"."))
            assert value == b"%d" % number + b"." * (number % 50)
            assert batch.timestamp(i) == number
            found.setdefault(batch.key(i), []).append(number)
    source.close()
    return found


def test_several_processes_append_at_once_and_nothing_is_lost_or_torn(tmp_path: Path) -> None:
    processes = [appender(tmp_path / "log", f"p{n}", 700) for n in range(4)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert numbers_by_key(tmp_path / "log") == {b"p%d" % n: list(range(700)) for n in range(4)}


def test_appenders_killed_in_the_middle_lose_nothing_that_was_flushed_and_stop_nobody(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        process = appender(tmp_path / "log", name, 10**9)
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        flushed = [int(line) for line in process.communicate(timeout=60)[0].split()]
        numbers = numbers_by_key(tmp_path / "log")[name.encode()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= max(flushed, default=140)
    assert list(numbers_by_key(tmp_path / "log")) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("torn", [b"\0" * 100, b"\xff" * 100, pack(b"k", b"torn", 1)[:-1], pack(b"k", b"x" * 200, 1)[:9]])
def test_a_torn_tail_is_never_delivered_and_the_next_appender_cuts_it(tmp_path: Path, torn: bytes) -> None:
    append(tmp_path / "log", b"a", b"b")
    (segment,) = segments(tmp_path / "log")
    reader = LogSource(tmp_path / "log")
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(torn)
    batch = reader.poll(10, 0)
    assert batch is not None
    assert batch.values == [b"a", b"b"]
    assert reader.poll(10, 0.01) is None
    LogSink(tmp_path / "log").close()
    assert segment.stat().st_size == size
    append(tmp_path / "log", b"c")
    batch = reader.poll(10, 5)
    assert batch is not None
    assert (batch.values, batch.offsets.tolist()) == ([b"c"], [2])
    reader.close()


def test_whole_records_of_a_dead_appender_count_and_only_then_are_delivered(tmp_path: Path) -> None:
    """Written, not yet published: after a crash of the machine these may be the only trace of a flush that returned."""
    append(tmp_path / "log", b"a")
    reader = LogSource(tmp_path / "log")
    (segment,) = segments(tmp_path / "log")
    with segment.open("ab") as file:
        file.write(pack(b"k", b"b", 1) + pack(b"k", b"c", 1) + pack(b"k", b"torn", 1)[:-2])
    batch = reader.poll(10, 0)
    assert batch is not None
    assert batch.values == [b"a"]
    assert append(tmp_path / "log", b"d") == {Partition("log", 0): 3}
    assert values_of(tmp_path / "log") == [b"a", b"b", b"c", b"d"]


def test_an_end_that_is_older_than_the_records_or_lost_is_found_again(tmp_path: Path) -> None:
    append(tmp_path / "log", b"a", b"b")
    old = (tmp_path / "log" / "end").read_bytes()
    sink = LogSink(tmp_path / "log", segment_bytes=1)
    for value in (b"c", b"d", b"e"):
        sink.append(b"", value, 0)
        sink.flush()
    sink.close()
    assert len(segments(tmp_path / "log")) == 4
    for content in (old, b"", b"\0" * 28, b"\xff" * 99):
        (tmp_path / "log" / "end").write_bytes(content)
        assert values_of(tmp_path / "log") == [b"a", b"b", b"c", b"d", b"e"]
    (tmp_path / "log" / "end").unlink()
    assert append(tmp_path / "log", b"f") == {Partition("log", 0): 5}


def test_damage_below_the_end_is_an_error_that_names_the_place_and_nothing_is_cut(tmp_path: Path) -> None:
    append(tmp_path / "log", b"a" * 50, b"b" * 50, b"c" * 50)
    (segment,) = segments(tmp_path / "log")
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(content)
    source = LogSource(tmp_path / "log")
    batch = source.poll(10, 0)
    assert batch is not None
    assert batch.values == [b"a" * 50]
    for _ in range(2):
        with pytest.raises(SourceError, match=r"damaged at byte 73: record 1 "):
            source.poll(10, 0)
    assert append(tmp_path / "log", b"d") == {Partition("log", 0): 3}
    assert segment.read_bytes().startswith(content)


def test_a_segment_that_became_shorter_is_data_loss_for_readers_and_appenders(tmp_path: Path) -> None:
    append(tmp_path / "log", b"a" * 50, b"b" * 50)
    (segment,) = segments(tmp_path / "log")
    os.truncate(segment, segment.stat().st_size - 10)
    for opened in (LogSource, LogSink):
        with pytest.raises(DataLossError, match="lost 10 bytes"):
            opened(tmp_path / "log")


def test_segments_that_go_while_they_are_needed_are_data_loss(tmp_path: Path) -> None:
    LogMaker(tmp_path / "log").write(records(100))
    source = LogSource(tmp_path / "log")
    for segment in segments(tmp_path / "log")[1:-1]:
        segment.unlink()
    with pytest.raises(DataLossError, match="are lost"):
        read(source, 100)
    source.close()


def test_a_folder_that_is_no_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not an embedded log"):
        LogSource(tmp_path)
    with pytest.raises(SourceError, match="is not an embedded log"):
        LogSink(tmp_path / "none")
    (tmp_path / "id").write_text("something else\n")
    with pytest.raises(SourceError, match="something else"):
        LogSink(tmp_path, create=True)


def test_a_log_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="Not a directory"):
        LogSink(tmp_path / "file" / "log", create=True)


def test_what_could_not_be_written_is_written_by_the_next_flush(tmp_path: Path) -> None:
    """As on a full disk, which here is a limit on the size of files that a process sets for itself."""
    append(tmp_path / "log", b"a")
    script = """
import resource, signal, sys
from pathlib import Path
from streammf.errors import SourceError
from streammf.events.log import LogSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = LogSink(Path(sys.argv[1]))
sink.append(b"", b"b" * 5000, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    sink.flush()
except SourceError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(path.stat().st_size for path in Path(sys.argv[1]).glob("*.log")))
sink.append(b"", b"c", 0)
print(list(sink.flush().values()))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert "cannot be written: File too large" in said[0]
    assert said[1:] == ["[24]", "[2]"]
    assert values_of(tmp_path / "log") == [b"a", b"b" * 5000, b"c"]


def test_a_folder_that_was_replaced_is_another_log(tmp_path: Path) -> None:
    append(tmp_path / "log", b"a")
    source = LogSource(tmp_path / "log")
    before = source.topic_ids()
    (tmp_path / "log").rename(tmp_path / "old")
    append(tmp_path / "log", b"b")
    assert source.topic_ids() != before
    source.close()


def test_a_reader_that_waits_hears_of_a_record_soon_and_does_not_spin(tmp_path: Path) -> None:
    append(tmp_path / "log", b"a")
    source = LogSource(tmp_path / "log")
    source.seek(source.ends())
    used = time.process_time()
    assert source.poll(1, 0.5) is None
    assert time.process_time() - used < 0.25
    process = appender(tmp_path / "log", "late", 7)
    assert source.poll(1, 30) is not None
    assert process.wait(timeout=60) == 0
    source.close()


def test_an_appender_that_is_stopped_does_not_stop_readers(tmp_path: Path) -> None:
    process = appender(tmp_path / "log", "a", 10**9)
    assert process.stdout is not None
    process.stdout.readline()
    source = LogSource(tmp_path / "log")
    process.send_signal(signal.SIGSTOP)
    try:
        batch = source.poll(7, 5)
        assert batch is not None
        assert len(batch.values) == 7
    finally:
        process.kill()
        process.communicate(timeout=60)
    source.close()


def test_options_convert_from_configuration_and_refuse_what_they_do_not_know() -> None:
    assert msgspec.convert({"path": "x"}, LogOptions) == LogOptions(path="x")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"pth": "x"}, LogOptions)


@settings(max_examples=100, deadline=None)
@given(RECORDS.filter(bool), RECORDS, st.data())
def test_a_log_with_a_damaged_tail_gives_what_is_durable_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
    durable: list[tuple[bytes, bytes, int]],
    lost: list[tuple[bytes, bytes, int]],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("torn") / "log"
    sink = LogSink(folder, create=True)
    for record in durable:
        sink.append(*record)
    sink.close()
    tail = bytearray(b"".join(pack(*record) for record in lost))
    if tail:
        del tail[data.draw(st.integers(0, len(tail))) :]
    for place, byte in data.draw(st.dictionaries(st.integers(0, 300), st.integers(0, 255), max_size=3)).items():
        if place < len(tail):
            tail[place] = byte
    with segments(folder)[-1].open("ab") as file:
        file.write(tail)
    kept = scan(bytes(tail), 0, 1000).values
    append(folder, b"next")
    assert values_of(folder) == [value for _, value, _ in durable] + kept + [b"next"]


@settings(max_examples=200, deadline=None)
@given(RECORDS.filter(bool), st.data())
def test_any_one_damaged_byte_is_noticed_and_nothing_false_is_delivered(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[bytes, bytes, int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "log"
    sink = LogSink(folder, create=True)
    for record in written:
        sink.append(*record)
    sink.close()
    (segment,) = segments(folder)
    content = bytearray(segment.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(content)
    source = LogSource(folder)
    found: list[bytes | None] = []
    with pytest.raises(SourceError, match=r"damaged at byte"):
        found.extend(value for batch in iter(lambda: source.poll(2, 0), None) for value in batch.values)
    source.close()
    assert found == [value for _, value, _ in written[: len(found)]]
    assert len(found) < len(written)
