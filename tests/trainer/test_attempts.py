"""A record that the trainer dies of is found, and set aside at the third death; nobody else is."""

import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streammf.errors import MemoryFullError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.learning.compiling import ready
from streammf.state.digest import digest
from streammf.state.store import Store
from streammf.trainer.attempts import DECODING, FEW, LEARNING, MOST, NAME, Attempts, Suspect, Tried, blamed
from tests.trainer.sources import LOG, ListedSource, clicks
from tests.trainer.test_decoding import PARTITIONS, batch_of
from tests.trainer.test_loop import train

pytestmark = pytest.mark.usefixtures("_kernels")
#: Places of records that erase: before, beside and behind those that are deadly.
ERASING = (30, 76, 78, 150)
DEADLY = Event(user="deadly", item="i", ts=1_700_000_000_000)

#: Learns a list of events as tests do, and dies of the user `deadly`: in the decoder, or in the kernel.
PROGRAM = """
import os, sys
from pathlib import Path
from streammf.learning.compiling import ready
from streammf.state.model import Model
from streammf.trainer.decoding import Decoder
from streammf.trainer.options import TrainerOptions
from tests.trainer.sources import ListedSource, clicks
from tests.trainer.test_attempts import events
from tests.trainer.test_loop import train

folder, stage, *deadly = sys.argv[1:]
decode, apply = Decoder.decode, Model.apply

def decode_or_die(self, records):
    if any(b'"deadly"' in value for value in records.values):
        os.abort()
    return decode(self, records)

def apply_or_die(self, prepared):
    if self.users.rows(["deadly"])[0] in prepared.batch.user:
        os.abort()
    return apply(self, prepared)

if stage == "decoding":
    Decoder.decode = decode_or_die
elif stage == "learning":
    Model.apply = apply_or_die
ready()
train(Path(folder), ListedSource(events([int(n) for n in deadly]), most=40),
      options=TrainerOptions(idle_seconds=0.01, batch=40, commit_events=40))
"""


def events(deadly: Sequence[int]) -> list[Event | bytes | Exception]:
    """200 clicks, with a deadly event at these places, and with records between them that cut their batch: they erase."""
    found: list[Event | bytes | Exception] = [*clicks(200)]
    for n in ERASING:
        found[n] = b'{"type": "forget_user", "user": "u%d"}' % (n % 10)
    for n in deadly:
        found[n] = encode_json(DEADLY)
    return found


@pytest.fixture(scope="module")
def _kernels() -> None:
    ready()


def run(folder: Path, stage: str, *deadly: int) -> int:
    """One life of a trainer: its exit code."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), stage, *map(str, deadly)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=False,
    ).returncode


def kept(folder: Path) -> list[tuple[int, str]]:
    with Store.open_readonly(folder / "store") as store, store.read() as reading:
        return [(record.offset, record.reason) for _, record in reading.quarantined()]


@pytest.mark.parametrize("stage", ["decoding", "learning"])
def test_at_its_third_death_a_record_is_set_aside_and_everything_else_is_learned(tmp_path: Path, stage: str) -> None:
    codes = [run(tmp_path / stage, stage, 77) for _ in range(MOST + 1)]
    assert codes == [-signal.SIGABRT] * MOST + [0]
    assert kept(tmp_path / stage) == [(77, "poison")]
    others = events([])
    others[77] = b"{"
    train(tmp_path / "whole", ListedSource(others))
    with Store.open_readonly(tmp_path / stage / "store") as one, Store.open_readonly(tmp_path / "whole" / "store") as other:
        if stage == "decoding":  # else its user has a row: it was met before the trainer died of it
            assert [digest(one, side) for side in ("items", "users")] == [digest(other, side) for side in ("items", "users")]
        metas = [store.meta() for store in (one, other)]
    assert [meta.events for meta in metas if meta] == [195, 195]


def test_a_second_one_in_the_same_batch_costs_one_more_death(tmp_path: Path) -> None:
    codes = [run(tmp_path, "decoding", 77, 79) for _ in range(5)]
    assert codes == [-signal.SIGABRT] * 4 + [0]
    assert kept(tmp_path) == [(77, "poison"), (79, "poison")]
    assert run(tmp_path, "decoding", 77, 79) == 0, "and that was that"


def attempts(folder: Path, next_offset: int = 0) -> Attempts:
    return Attempts(folder, PARTITIONS, dict.fromkeys(PARTITIONS, next_offset))


def die(folder: Path, first: int, following: int, stage: int = LEARNING) -> None:
    """A trainer that is gone while it works on these records of partition 0."""
    trainer = attempts(folder)
    with trainer.trying(stage, first, {PARTITIONS[0]: first, PARTITIONS[1]: 0}):
        pass
    with (
        pytest.raises(ZeroDivisionError),
        trainer.trying(stage, following - first, {PARTITIONS[0]: following, PARTITIONS[1]: 0}),
    ):
        raise ZeroDivisionError


def test_only_records_in_flight_at_every_one_of_three_deaths_are_poison(tmp_path: Path) -> None:
    for first, following in ((10, 90), (40, 60), (57, 58)):
        assert attempts(tmp_path).without_poison(batch_of([b"{}"] * 80))[1] == []
        die(tmp_path, first, following, DECODING)
    trainer = attempts(tmp_path)
    tried, rejected = trainer.without_poison(batch_of([b"{}"] * 80))
    assert [(record.partition, record.offset, record.reason) for record in rejected] == []
    assert len(tried.values) == 80, "offset 57 of the batch is partition 1's"
    tried, rejected = trainer.without_poison(batch_of([b"{%d" % n for n in range(81)], first=11))
    assert [(record.partition, record.offset, record.value) for record in rejected] == [(PARTITIONS[0], 57, b"{46")]
    assert len(tried.values) == 80
    assert 57 not in tried.offsets


def test_it_is_careful_until_the_suspects_are_behind(tmp_path: Path) -> None:
    assert not attempts(tmp_path).careful
    die(tmp_path, 10, 20)
    trainer = attempts(tmp_path)
    assert trainer.careful
    for following in (19, 20):
        with trainer.trying(LEARNING, 1, {PARTITIONS[0]: following, PARTITIONS[1]: 0}):
            pass
        assert trainer.careful == (following < 20)


def test_after_one_death_a_few_are_taken_at_a_time_and_after_two_one(tmp_path: Path) -> None:
    assert attempts(tmp_path).most(4096) == 4096
    die(tmp_path, 10, 200)
    assert (attempts(tmp_path).most(4096), attempts(tmp_path).most(5)) == (FEW, 5)
    die(tmp_path, 74, 138)
    assert attempts(tmp_path).most(4096) == 1


def test_many_deaths_in_company_make_no_poison(tmp_path: Path) -> None:
    for _ in range(5):
        die(tmp_path, 10, 12)
    assert attempts(tmp_path).without_poison(batch_of([b"{}"] * 80))[1] == []


def test_what_was_committed_since_is_suspected_no_longer(tmp_path: Path) -> None:
    die(tmp_path, 10, 20)
    assert attempts(tmp_path, 15).careful
    assert not attempts(tmp_path, 20).careful
    assert not attempts(tmp_path).careful, "and is forgotten"


def test_an_error_of_the_surroundings_blames_no_record(tmp_path: Path) -> None:
    for error in (MemoryFullError("full"), KeyboardInterrupt()):
        with pytest.raises(type(error)), attempts(tmp_path).trying(LEARNING, 5, dict.fromkeys(PARTITIONS, 5)):
            raise error
        assert not attempts(tmp_path).careful


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", bytes(4096)])
def test_a_file_that_a_power_loss_left_is_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert not attempts(tmp_path).careful


def test_who_is_suspected_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    die(tmp_path, 10, 20)
    with caplog.at_level(logging.WARNING):
        attempts(tmp_path)
    assert "died 1 time while it worked on events/0, offset 10 to 19" in caplog.text


spans = st.tuples(st.integers(0, 30), st.integers(1, 30), st.booleans()).map(lambda one: Tried(one[0], one[0] + one[1], one[2]))


@given(st.lists(st.lists(spans, max_size=2), max_size=6))
def test_deaths_are_counted_for_each_record(deaths: list[list[Tried]]) -> None:
    counted = np.zeros(61, np.int64)
    suspects: list[Suspect] = []
    for tried in deaths:
        suspects = blamed(LOG, suspects, tried)
        for one in tried:
            within = slice(one.first, one.next)
            counted[within] = np.where(one.alone | (counted[within] < MOST - 1), counted[within] + 1, counted[within])
    told = np.zeros(61, np.int64)
    for suspect in suspects:
        assert not told[suspect.first : suspect.next].any()
        told[suspect.first : suspect.next] = suspect.deaths
    assert told.tolist() == counted.tolist()
