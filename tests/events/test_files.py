"""Files as sources: the battery in every form, bad rows, bad files, and the real logs."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.errors import DataLossError, SourceError
from streammf.events.codec import decode
from streammf.events.event import Columns
from streammf.events.files import FileSource
from streammf.events.lines import MOST_LINE_BYTES
from tests.contracts import FiniteSourceContract, Record, read, records

HEADER = b"user,item,value,timestamp\n"
TYPES = {"view", "click"}


def csv_bytes(written: Sequence[Record]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["user", "item", "value", "timestamp", "type"])
    for record in written:
        event = json.loads(record.value)
        rows.writerow([event["user"], event["item"], event["value"], event["ts"] / 1000, event["type"]])
    return text.getvalue().encode()


def jsonl_bytes(written: Sequence[Record]) -> bytes:
    return b"".join(record.value + b"\n" for record in written)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "csv": bytes,
    "csv.gz": gzip.compress,
    "csv.zst": zstandard.compress,
    "jsonl": bytes,
    "jsonl.gz": gzip.compress,
    "jsonl.zst": zstandard.compress,
}


class FileMaker:
    def __init__(self, folder: Path, form: str) -> None:
        self.path = folder / f"events.{form}"
        self.form = form

    def write(self, written: Sequence[Record]) -> None:
        encode = csv_bytes if self.form.startswith("csv") else jsonl_bytes
        self.path.write_bytes(FORMS[self.form](encode(written)))

    def open(self) -> FileSource:
        return FileSource(self.path)


class TestFiles(FiniteSourceContract):
    @pytest.fixture(params=FORMS)
    def maker(self, request: pytest.FixtureRequest, tmp_path: Path) -> FileMaker:
        return FileMaker(tmp_path, request.param)


def everything(path: Path) -> list[Columns]:
    """A small file, decoded batch by batch."""
    source = FileSource(path)
    batches: list[Columns] = []
    while (batch := source.poll(1000, 0)) is not None:
        batches.append(decode(batch, source.partitions, TYPES))
    source.close()
    return batches


def users_of(path: Path) -> list[str]:
    return [user for columns in everything(path) for user in columns.users]


def rejected_of(path: Path) -> list[tuple[str, int, bytes | None]]:
    return [(bad.reason, bad.offset, bad.value) for columns in everything(path) for bad in columns.rejected]


def file(tmp_path: Path, content: bytes, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_csv_row_is_an_event_with_its_time_in_milliseconds(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + b'u1,i1,4,874724710\r\n\r\n"a,b",i2,-.5,1396314141.719\n')
    (columns,) = everything(path)
    assert columns.users == ["u1", "a,b"]
    assert columns.types == ["click", "click"]
    assert columns.values.tolist() == [4.0, -0.5]
    assert columns.times.tolist() == [874_724_710_000, 1_396_314_141_719]
    assert columns.offsets.tolist() == [0, 1]
    assert columns.rejected == []


def test_the_last_row_needs_no_line_end(tmp_path: Path) -> None:
    assert users_of(file(tmp_path, HEADER + b"a,b,1,2\nc,d,3,4")) == ["a", "c"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"u,i,1", "malformed"),
        (b"u,i,1,2,3", "malformed"),
        (b'u,"i,1,2', "malformed"),
        (b'u,"i"x,1,2', "malformed"),
        (b'{"user":"a","item":"b"}', "malformed"),
        (b"\x82\xa4user\xa1a\xa4item\xa1b", "malformed"),
        (b"u\xff,i,1,2", "malformed"),
        (b"u,i,one,2", "value"),
        (b"u,i,nan,2", "value"),
        (b"u,i,-inf,2", "value"),
        (b"u,i,1e9,2", "value"),
        (b"u,i,,2", "value"),
        (b"u,i,1,", "time"),
        (b"u,i,1,yesterday", "time"),
        (b"u,i,1,-5", "time"),
        (b"u,i,1,1e400", "time"),
        (b"u,i,1,1e308", "time"),
        (b"u,i,1,1396314141719000", "time"),
        (b",i,1,2", "id"),
        (b"u," + b"i" * 256 + b",1,2", "id"),
    ],
)
def test_a_bad_csv_row_is_rejected_by_name_and_spoils_no_other(tmp_path: Path, row: bytes, reason: str) -> None:
    path = file(tmp_path, HEADER + b"a,b,1,2\n" + row + b"\nc,d,3,4\n")
    assert users_of(path) == ["a", "c"]
    assert [(why, offset) for why, offset, _ in rejected_of(path)] == [(reason, 1)]


def test_a_bad_jsonl_line_is_rejected_whole(tmp_path: Path) -> None:
    path = file(tmp_path, b'{"user":"a","item":"b","ts":5}\nnonsense\n\n{"user":"c","item":"d"}\n', "log.jsonl")
    assert users_of(path) == ["a"]
    assert rejected_of(path) == [("malformed", 1, b"nonsense"), ("time", 2, b'{"user":"c","item":"d"}')]


@pytest.mark.parametrize("content", [b"", b"userId,movieId,rating,timestamp\n1,2,3,4\n", b"1,2,3,4\n", b"\xff\xfe"])
def test_a_wrong_header_names_the_right_one(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError, match=r"user,item,value,timestamp\[,type\]"):
        FileSource(file(tmp_path, content))


def test_a_header_may_follow_a_byte_order_mark(tmp_path: Path) -> None:
    assert users_of(file(tmp_path, b"\xef\xbb\xbf" + HEADER + b"a,b,1,2\n")) == ["a"]


def test_an_empty_log_ends_at_once(tmp_path: Path) -> None:
    source = FileSource(file(tmp_path, HEADER))
    assert source.poll(10, 0) is None
    assert source.exhausted
    assert source.ends() == {source.partitions[0]: 0}


@pytest.mark.parametrize("name", ["log.parquet", "log", "log.gz", "log.csv.bz2"])
def test_a_file_of_another_kind_names_the_kinds_that_can_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"\*\.csv or \*\.jsonl"):
        FileSource(file(tmp_path, HEADER, name))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv cannot be read: No such file"):
        FileSource(tmp_path / "none.csv")


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst"])
def test_a_compressed_file_that_was_cut_off_is_an_error_and_not_a_shorter_log(tmp_path: Path, form: str) -> None:
    whole = FORMS[form](csv_bytes(records(50_000)))
    source = FileSource(file(tmp_path, whole[: len(whole) * 3 // 4], f"log.{form}"))
    with pytest.raises(SourceError, match="cannot be read on"):
        read(source, 50_000)
    assert not source.exhausted
    with pytest.raises(SourceError, match="cannot be read on"):
        source.poll(10, 0)


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst"])
def test_a_file_that_is_not_compressed_as_it_says_is_an_error(tmp_path: Path, form: str) -> None:
    with pytest.raises(SourceError, match="cannot be read on"):
        FileSource(file(tmp_path, HEADER + b"a,b,1,2\n", f"log.{form}"))


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst"])
def test_compressed_parts_one_after_another_are_one_log(tmp_path: Path, form: str) -> None:
    parts = FORMS[form](HEADER + b"a,b,1,2\nc,") + FORMS[form](b"d,3,4\n")
    assert users_of(file(tmp_path, parts, f"log.{form}")) == ["a", "c"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = file(tmp_path, gzip.compress(b"\n" + b" " * (MOST_LINE_BYTES * 3)), "log.jsonl.gz")
    with pytest.raises(SourceError, match="a line of more than"):
        FileSource(path)


def test_progress_goes_from_the_beginning_to_the_whole_file(tmp_path: Path) -> None:
    path = file(tmp_path, gzip.compress(csv_bytes(records(50_000))), "log.csv.gz")
    source = FileSource(path)
    shown = [source.progress()]
    while source.poll(1000, 0) is not None:
        shown.append(source.progress())
    shown.append(source.progress())
    assert shown == sorted(shown)
    assert shown[0][0] < path.stat().st_size
    assert shown[-1] == (path.stat().st_size, path.stat().st_size)


def test_another_beginning_is_another_log(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + b"a,b,1,2\n")
    source = FileSource(path)
    before = source.topic_ids()
    path.write_bytes(HEADER + b"a,c,1,2\n")
    assert source.topic_ids() != before


def test_a_position_before_the_beginning_is_data_loss(tmp_path: Path) -> None:
    source = FileSource(file(tmp_path, HEADER + b"a,b,1,2\n"))
    with pytest.raises(DataLossError, match="3 events"):
        source.seek({source.partitions[0]: -3})


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.binary(max_size=60)))
def test_any_bytes_after_the_header_give_one_event_or_rejection_a_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]
) -> None:
    content = b"\n".join(rows)
    path = file(tmp_path_factory.mktemp("fuzz"), HEADER + content)
    lines = [line for line in content.split(b"\n") if line.strip()]
    assert len(users_of(path)) + len(rejected_of(path)) == len(lines)


IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=63)


@settings(max_examples=200, deadline=None)
@given(user=IDS, item=IDS, value=st.floats(-1e6, 1e6))
def test_whatever_a_csv_writer_quotes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, user: str, item: str, value: float
) -> None:
    text = io.StringIO()
    csv.writer(text).writerow([user, item, value, 5])
    (columns,) = everything(file(tmp_path_factory.mktemp("quoted"), HEADER + text.getvalue().encode()))
    assert (columns.users, columns.items, columns.times.tolist()) == ([user], [item], [5000])
    assert columns.values.tolist() == [float(np.float32(value))]


REAL = {"ml-100k": 100_000, "yoochoose-100k-sample": 83_846, "amazon-musical-instruments-5core": 10_261}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_the_real_logs_are_read_whole_and_nothing_is_rejected(name: str) -> None:
    folder = os.environ.get("STREAMMF_TEST_DATA")
    if folder is None:
        pytest.skip("STREAMMF_TEST_DATA names no folder of real logs")
    source = FileSource(Path(folder) / f"{name}.csv.gz")
    events = 0
    while (batch := source.poll(10_000, 0)) is not None:
        columns = decode(batch, source.partitions, TYPES)
        assert columns.rejected == []
        events += len(columns.users)
    assert events == REAL[name]
    assert source.exhausted
    assert source.positions() == source.ends()


def test_an_event_is_found_again_in_the_lines_of_the_file(tmp_path: Path) -> None:
    row = b"a,b,1,2\n"
    source = FileSource(file(tmp_path, b"\n" + HEADER + row + b" \n\n" + row * 100_000 + row.strip()))
    assert [source.line_of(offset) for offset in (0, 1, 100_001)] == [3, 6, 100_006]
    source.close()
