"""Each defect of a store is found and said, a sound store is called sound, and nothing of it is changed."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import numpy as np
import pytest

from streammf.events.event import Rejected
from streammf.events.source import Partition
from streammf.learning.tables import TABLES, Table
from streammf.state import examination
from streammf.state.examination import Report, examine, examined
from streammf.state.meta import Meta, Position
from streammf.state.options import StoreOptions
from streammf.state.records import BlockLayout
from streammf.state.store import Store
from tests.state.stores import learned

USERS, ITEMS, SEEN, PARTITIONS = (next(t for t in TABLES if t.name == n) for n in ("users", "items", "seen", "partitions"))


def quietly(what: str, part: float) -> None:
    pass


def spoilt(path: Path, *writers: Callable[[Store, "lmdb.Transaction[bytes]"], None]) -> list[str]:
    """What is found wrong after these writes, which no part of ours would do."""
    with Store.open(StoreOptions(path=str(path))) as store:
        store.write([lambda transaction, writer=writer: writer(store, transaction) for writer in writers])  # type: ignore[misc]
    return examine(path, quietly).problems


def with_value(table: Table, column: str, row: int, value: float) -> Callable[[Store, "lmdb.Transaction[bytes]"], None]:
    """Writes one number into a row."""

    def write(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        meta = msgspec.msgpack.decode(transaction.get(b"meta", b"", db=store._databases["meta"]), type=Meta)
        layout = BlockLayout.of(table, meta.widths)
        database, key = store._databases[f"rows.{table.name}"], (row // layout.rows).to_bytes(4)
        block = bytearray(transaction.get(key, b"", db=database))
        part = next(part for part in layout.parts if part.name == column)
        number = np.array([value], part.dtype).tobytes()
        at = part.start + row % layout.rows * part.row
        block[at : at + len(number)] = number
        transaction.put(key, bytes(block), db=database)

    return write


def with_meta(**fields: object) -> Callable[[Store, "lmdb.Transaction[bytes]"], None]:
    """Writes another meta record."""

    def write(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        heads = store._databases["meta"]
        meta = msgspec.msgpack.decode(transaction.get(b"meta", b"", db=heads), type=Meta)
        transaction.put(b"meta", msgspec.msgpack.encode(msgspec.structs.replace(meta, **fields)), db=heads)

    return write


def test_a_sound_store_is_called_sound_and_is_not_changed(tmp_path: Path) -> None:
    path = learned(tmp_path / "store")
    before = (path / "data.mdb").read_bytes()
    said: list[tuple[str, float]] = []
    report = examined(path, lambda what, part: said.append((what, part)))
    assert report.problems == []
    assert (report.events, report.counts["user"], report.counts["item"]) == (2000, 200, 50)
    assert report.store
    assert said[0] == ("structure", 0.0)
    assert said[-1] == ("done", 1.0)
    assert [part for _, part in said] == sorted(part for _, part in said)
    assert (path / "data.mdb").read_bytes() == before
    assert examine(path.with_name("store.snapshot"), quietly).problems == []


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "said"),
    [
        (USERS, "factor", 7, np.nan, "row 7 of users.factor holds nan"),
        (ITEMS, "factor", 3, np.inf, "row 3 of items.factor holds inf"),
        (ITEMS, "log_popularity", 49, np.nan, "row 49 of items.log_popularity holds nan"),
        (USERS, "history_item", 199, 50, "row 199 of users.history_item holds 50"),
        (USERS, "seen_block", 0, -2, "row 0 of users.seen_block holds -2"),
        (SEEN, "items", 1, 1 << 30, "row 1 of seen.items holds 1073741824"),
        (USERS, "events", 5, -1, "row 5 of users.events holds -1"),
        (PARTITIONS, "clock", 0, 1 << 60, "row 0 of partitions.clock holds 1152921504606846976"),
    ],
)
def test_a_number_that_cannot_be_is_found_where_it_stands(
    tmp_path: Path, table: Table, column: str, row: int, value: float, said: str
) -> None:
    assert spoilt(learned(tmp_path / "store"), with_value(table, column, row, value)) == [said]


def test_an_item_without_popularity_is_no_fault(tmp_path: Path) -> None:
    assert spoilt(learned(tmp_path / "store"), with_value(ITEMS, "log_popularity", 2, -np.inf)) == []


def test_an_item_that_is_described_and_not_chosen_yet_is_no_fault(tmp_path: Path) -> None:
    path = learned(tmp_path / "store")
    assert spoilt(path, with_value(ITEMS, "events", 2, -1)) == []
    assert spoilt(path, with_value(ITEMS, "events", 2, -2)) == ["row 2 of items.events holds -2"]


def test_many_faults_of_one_kind_are_counted(tmp_path: Path) -> None:
    writers = [with_value(USERS, "factor", row, np.nan) for row in range(20)]
    found = spoilt(learned(tmp_path / "store"), *writers)
    assert len(found) == examination.MOST_SAID + 1
    assert found[-1] == "and 15 more fault(s) in the rows of users"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"positions": [Position("events", 0, -4, "id")]}, "the position of events/0 is -4"),
        ({"positions": []}, "there are 1 rows of partitions and 0 positions"),
        (
            {"positions": [Position("events", 0, 40, "id")]},
            "2,000 events were learned from logs that were read up to 40 offsets",
        ),
        ({"counts": [-1, 50, 10, 1, 50, 1, 0]}, "the counts are [-1, 50, 10, 1, 50, 1, 0]"),
        ({"layout": ["users.factor: f4 x 4"]}, "rows were not read: the store was written with other columns"),
        ({"dimensions": {"factors": 4}}, "rows were not read: the store was written with other columns"),
    ],
)
def test_a_meta_record_that_cannot_be_is_found(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    found = spoilt(learned(tmp_path / "store"), with_meta(**fields))
    assert any(said in problem for problem in found), found


def test_two_positions_of_one_partition_are_found(tmp_path: Path) -> None:
    twice = [Position("events", 0, 4000, "id")] * 2
    assert "there is more than one position of events/0" in spoilt(learned(tmp_path / "store"), with_meta(positions=twice))


def test_a_missing_block_and_one_too_many_are_found(tmp_path: Path) -> None:
    def remove(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        transaction.delete((0).to_bytes(4), db=store._databases["rows.items"])

    def add(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        transaction.put((9999).to_bytes(4), bytes(8), db=store._databases["rows.seen"])

    found = spoilt(learned(tmp_path / "store"), remove, add)
    assert any("the table items has" in problem for problem in found)
    assert any("a block of the table items is missing near row 0" in problem for problem in found)
    assert any("the table seen has" in problem for problem in found)


def test_ids_that_are_missing_or_there_twice_are_found(tmp_path: Path) -> None:
    def twice(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        database = store._databases["ids.user"]
        value = transaction.get(bytes(4), b"", db=database)
        row = next(n for n in range(199) if value[8 + n] == value[9 + n])
        first, length = 8 + 200 + sum(value[8 : 8 + row]), value[8 + row]
        second = first + length
        transaction.put(bytes(4), value[:second] + value[first:second] + value[second + length :], db=database)

    def gone(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        transaction.delete(bytes(4), db=store._databases["ids.item"])

    found = spoilt(learned(tmp_path / "store"), twice, gone)
    assert any(problem.startswith("the user ids: the id 'user-") and "is there twice" in problem for problem in found), found
    assert any("0 of 50 item ids are there" in problem for problem in found)


def test_a_quarantine_that_does_not_add_up_is_found(tmp_path: Path) -> None:
    record = Rejected(Partition("events", 0), 3, "json", "no JSON", b"{", None, 0)

    def strange(store: Store, transaction: "lmdb.Transaction[bytes]") -> None:
        transaction.put((7).to_bytes(8), msgspec.msgpack.encode(record), db=store._databases["quarantine"])
        transaction.put((8).to_bytes(8), b"\xc1", db=store._databases["quarantine"])

    found = spoilt(learned(tmp_path / "store"), strange)
    assert any("the rejected record after number 8 cannot be read" in problem for problem in found), found
    assert "there is a rejected record 7, and 0 were counted" in found


def test_a_page_that_was_overwritten_is_found(tmp_path: Path) -> None:
    path = learned(tmp_path / "store")
    data = bytearray((path / "data.mdb").read_bytes())
    for page in range(3, len(data) // 4096):
        if data[page * 4096 + 10] == 2:  # a leaf: its header stays, its nodes point anywhere
            data[page * 4096 + 16 : page * 4096 + 64] = os.urandom(48)
    (path / "data.mdb").write_bytes(data)
    report = examined(path, quietly)
    assert report.problems


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 20_000])
def test_a_cut_off_file_is_a_problem_like_any_other(tmp_path: Path, size: int) -> None:
    path = learned(tmp_path / "store")
    os.truncate(path / "data.mdb", size)
    report = examined(path, quietly)
    assert len(report.problems) >= 1
    assert "data.mdb" in report.problems[0]


def test_a_file_that_is_cut_while_it_is_read_is_a_problem_and_not_a_dead_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = learned(tmp_path / "store", events=20_000)
    cut = f"import os; os.truncate({str(path / 'data.mdb')!r}, 8192)"
    real = subprocess.Popen

    def spoiling(command: list[str], **more: Any) -> Any:
        """The same program, in which the file is cut once the rows are being read."""
        code = (
            "import sys; from streammf.state import examination as e; from streammf.state.reading import Reading\n"
            f"def cut(*_):\n    {cut}\n    return 0\n"
            "blocks = Reading.blocks\n"
            "def spoilt(*a):\n    cut()\n    return blocks(*a)\n"
            "Reading.blocks = spoilt\n"
            f"sys.argv = {command[2:]!r}\ne.main()"
        )
        return real([command[0], "-c", code], **more)

    monkeypatch.setattr(subprocess, "Popen", spoiling)
    report = examined(path, quietly)
    assert len(report.problems) == 1
    assert f"was killed by {signal.SIGBUS.name} while it looked at" in report.problems[0]
    assert "was cut meanwhile" in report.problems[0]


def test_a_store_that_is_being_written_is_examined_at_one_commit(tmp_path: Path) -> None:
    path = learned(tmp_path / "store")
    enough = threading.Event()
    with Store.open(StoreOptions(path=str(path))) as store:

        def write() -> None:
            n = 0
            while not enough.is_set():
                n += 1
                write_one = with_value(USERS, "events", n % 200, n % 1000)
                store.write([lambda transaction, write_one=write_one: write_one(store, transaction)])  # type: ignore[misc]

        writer = threading.Thread(target=write)
        writer.start()
        try:
            reports: list[Report] = [examined(path, quietly) for _ in range(3)]
        finally:
            enough.set()
            writer.join(60)
    assert [report.problems for report in reports] == [[]] * 3


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    assert examined(tmp_path / "nothing", quietly).problems == [f"there is no store at {tmp_path / 'nothing'}"]
