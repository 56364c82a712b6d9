"""Slots: what one process counts, another reads, and a third goes on with."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streammf.counters.block import OWN, Family
from streammf.counters.slot import SlotReader, take, take_free
from tests.waiting import wait_for

EVENTS = Family("events_total", "counter", "Events.", {"type": ("click", "view")})
TIMES = Family("learn_seconds", "histogram", "Times.", buckets=(0.1,))
OPEN = Family("open", "gauge", "Open.")
FAMILIES = (*OWN, EVENTS, TIMES, OPEN)

COUNTING = """
import sys
from pathlib import Path
from streammf.counters.slot import take
from tests.counters.test_slot import FAMILIES
block = take(Path(sys.argv[1]), "trainer", FAMILIES).block
clicks = block.counter("events_total", "click")
print("counting", flush=True)
while True:
    clicks.add()
"""


def test_a_slot_is_read_while_it_is_counted_in_and_taken_over_with_its_totals(tmp_path: Path) -> None:
    slot = take(tmp_path, "trainer", FAMILIES)
    reader = SlotReader(tmp_path)
    slot.block.counter("events_total", "view").add(3)
    slot.block.histogram("learn_seconds").observe(0.5)
    slot.block.gauge("open").set(2)
    slot.block.write_note(b"busy")
    block = reader.read()["trainer"]
    assert (block.value("events_total", "view"), block.value("open"), block.read_note()) == (3, 2, b"busy")
    slot.close()
    successor = take(tmp_path, "trainer", FAMILIES).block
    successor.counter("events_total", "view").add()
    block = reader.read()["trainer"]
    assert (block.value("events_total", "view"), block.value("process_starts_total")) == (4, 2)
    assert (block.value("open"), block.read_note()) == (0, b"")
    assert [series.numbers for series in block.read(TIMES)] == [(0, 1, 0.5)]


def test_a_slot_that_was_removed_knows_it(tmp_path: Path) -> None:
    slot = take(tmp_path / "counters", "worker-1", FAMILIES)
    assert not slot.removed
    shutil.rmtree(tmp_path / "counters")
    assert slot.removed
    slot.close()


def test_a_slot_that_moves_goes_on_with_its_totals_and_gives_its_old_place_free(tmp_path: Path) -> None:
    slot = take(tmp_path / "old", "worker-1", FAMILIES)
    slot.block.counter("events_total", "view").add(3)
    slot.move(take(tmp_path / "new", "worker-2", FAMILIES))
    slot.block.counter("events_total", "view").add()
    block = SlotReader(tmp_path / "new").read()["worker-2"]
    assert (slot.name, block.value("events_total", "view"), block.value("process_starts_total")) == ("worker-2", 4, 1)
    take(tmp_path / "old", "worker-1", FAMILIES).close()


def test_a_slot_has_one_process_and_the_next_worker_takes_the_next_number(tmp_path: Path) -> None:
    take(tmp_path, "trainer", FAMILIES)
    with pytest.raises(BlockingIOError):
        take(tmp_path, "trainer", FAMILIES)
    first, second = take_free(tmp_path, "worker", 1, FAMILIES), take_free(tmp_path, "worker", 1, FAMILIES)
    assert (first.name, second.name) == ("worker-1", "worker-2")
    first.close()
    assert take_free(tmp_path, "worker", 1, FAMILIES).name == "worker-1"
    assert list(SlotReader(tmp_path).read()) == ["trainer", "worker-1", "worker-2"]


def test_a_release_that_declares_other_families_goes_on_with_those_that_both_have(tmp_path: Path) -> None:
    slot = take(tmp_path, "trainer", FAMILIES)
    slot.block.counter("events_total", "click").add(5)
    slot.block.histogram("learn_seconds").observe(1.0)
    slot.close()
    more = Family("events_total", "counter", "Other words.", {"type": ("like", "click")})
    other_buckets = Family("learn_seconds", "histogram", "Times.", buckets=(0.1, 1.0))
    block = take(tmp_path, "trainer", (*OWN, other_buckets, more)).block
    assert (block.value("events_total", "click"), block.value("events_total", "like")) == (5, 0)
    assert [series.numbers for series in block.read(other_buckets)] == [(0, 0, 0, 0)]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100_000, b"SMFCNT01" + b"\xff" * 8])
def test_a_file_that_is_no_slot_is_not_read_and_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trainer").write_bytes(content)
    assert SlotReader(tmp_path).read() == {}
    assert take(tmp_path, "trainer", FAMILIES).block.value("process_starts_total") == 1


def test_what_a_killed_process_had_counted_is_there_and_its_slot_is_free(tmp_path: Path) -> None:
    reader, seen = SlotReader(tmp_path), 0.0
    for start in (1, 2, 3):
        process = subprocess.Popen([sys.executable, "-c", COUNTING, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd())
        try:
            assert process.stdout is not None
            process.stdout.readline()
            wait_for(lambda before=seen: reader.read()["trainer"].value("events_total", "click") > before + 1000, "counts")  # type: ignore[misc]
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        block = reader.read()["trainer"]
        assert block.value("events_total", "click") > seen + 1000
        assert block.value("process_starts_total") == start
        seen = block.value("events_total", "click")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trainer", "trainer.lock"]


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    take(tmp_path / "live" / "counters", "trainer", FAMILIES)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "live").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert (tmp_path / "live").stat().st_mode & 0o777 == 0o700
