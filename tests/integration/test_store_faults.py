"""The store under a real trainer: snapshots beside learning, a full disk, a file that is cut, a doctor that looks on."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink
from streammf.serving.client import Client
from streammf.state.digest import digest
from streammf.state.manifest import Manifest
from streammf.state.shelf import Folder, listing
from streammf.state.store import Store
from tests.integration.processes import Running, running, settings, streammf, until_events
from tests.integration.scrapes import page, value
from tests.trainer.sources import clicks
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

SMALL = {"learning__factors": "8", "learning__history": "4", "learning__recent": "500"}


def write(folder: Path, events: list[Event]) -> None:
    """Append to the embedded log of these tests."""
    with closing(LogSink(folder / "log", create=True)) as sink:
        for event in events:
            sink.append(b"", encode_json(event), event.ts or 0)


def stored(store: Path) -> tuple[int, str]:
    """Events and digest of a store, read beside its owner or after it."""
    with Store.open_readonly(store) as opened:
        meta = opened.meta()
        return (meta.events if meta else 0), digest(opened)


def durable(store: Path) -> int:
    """Events of its last commit."""
    with Store.open_readonly(store) as opened:
        meta = opened.meta()
        return meta.events if meta else 0


@contextmanager
def uninterrupted(folder: Path, events: list[Event]) -> Iterator[str]:
    """The digest of a run in which nothing went wrong, over a log of the same name."""
    other = folder / "uninterrupted"
    other.mkdir()
    write(other, events)
    with running("train", environment=settings(other, **SMALL)) as trainer:
        trainer.ready()
        wait_for(lambda: durable(other / "store") == len(events), "all learned", 120)
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == 0
    yield stored(other / "store")[1]


def metrics(trainer: Running) -> Callable[[], str]:
    """Its /metrics, from the address in its ready line."""
    line = next(line for line in trainer.lines if line.startswith("ready"))
    address = line.partition("metrics at http://")[2].partition("/")[0]
    return lambda: page(address, "/metrics").text


def test_snapshots_are_written_beside_learning_and_each_is_a_state_that_was_committed(tmp_path: Path) -> None:
    shelf = Folder(tmp_path / "shelf")
    more = {"store__snapshots": str(tmp_path / "shelf"), "store__snapshot_events": "1000", "store__snapshots_kept": "3"}
    environment = settings(tmp_path, **SMALL, **more, trainer__commit_seconds="0.05")
    events = clicks(8_000)
    with running("train", environment=environment) as trainer:
        write(tmp_path, events[:1000])
        scrape = metrics(trainer.ready())
        for first in range(1000, 8_000, 1000):
            write(tmp_path, events[first : first + 1000])
            wait_for(lambda: durable(tmp_path / "store") >= first + 1000, "a durable thousand", 60)  # noqa: B023
            if first in {3000, 7000}:
                wanted = 1 + (first == 7000)
                wait_for(lambda: value(scrape(), "streammf_snapshots_total", outcome="written") >= wanted, "a snapshot", 60)  # noqa: B023
        said = scrape()
        assert value(said, "streammf_snapshot_bytes") > 0
        assert 0 <= value(said, "streammf_snapshot_age_seconds") < 300
        assert value(said, "streammf_snapshots_total", outcome="failed") == 0
        doctor = streammf("doctor", "--json", "--against-source", environment=environment)
        assert doctor.returncode == 0, doctor.stdout
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == 0, trainer.lines
    made = [one.manifest for one in listing(shelf)]
    assert 1 <= len(made) <= 3
    assert all(isinstance(one, Manifest) and one.scheduled for one in made)
    verified = streammf("snapshot", "verify", "--against-source", environment=environment)
    assert verified.returncode == 0, verified.stdout
    restored = streammf("snapshot", "restore", "latest", "--overwrite", environment=environment)
    assert restored.returncode == 0, restored.stderr
    with running("train", environment=environment) as trainer:
        trainer.ready()
        wait_for(lambda: durable(tmp_path / "store") == len(events), "the rest learned again", 120)
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == 0
    with uninterrupted(tmp_path, events) as whole:
        assert stored(tmp_path / "store") == (len(events), whole)


def test_a_full_disk_is_named_answers_go_on_and_learning_resumes_alone_once_there_is_room(
    tmp_path: Path, small_tmpfs: Path
) -> None:
    """Nothing lost, nothing twice: the store is afterwards that of a run on a disk with room."""
    environment = settings(tmp_path, **SMALL, store__path=str(small_tmpfs / "store"), trainer__commit_seconds="0.1")
    events = [Event(user=f"user-{n}", item=f"item-{n % 300}", ts=1_700_000_000_000 + n) for n in range(16_000)]
    with running("up", environment=environment) as up:
        client = Client(up.ready().address)
        write(tmp_path, events[:2000])
        wait_for(lambda: durable(small_tmpfs / "store") == 2000, "the first events durable", 60)
        ballast = small_tmpfs / "ballast"
        free = os.statvfs(small_tmpfs).f_bavail * 4096
        ballast.write_bytes(bytes(free - (64 << 10)))
        write(tmp_path, events[2000:])
        wait_for(lambda: any("is full" in line for line in up.lines), "the trainer says that the disk is full", 60)
        said = next(line for line in up.lines if "is full" in line)
        assert f"exit code {ExitCode.STORE_FULL}" in said
        assert "KiB are left" in said
        assert durable(small_tmpfs / "store") >= 2000
        assert len(client.recommend("user-1", k=5)) == 5
        wait_for(lambda: sum("is full" in line for line in up.lines) >= 2, "it is tried again", 120)
        assert len(client.recommend("user-1", k=5)) == 5
        ballast.unlink()
        wait_for(lambda: durable(small_tmpfs / "store") == len(events), "all durable once there is room", 120)
        until_events(client, len(events))
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.lines
    with uninterrupted(tmp_path, events) as whole:
        assert stored(small_tmpfs / "store") == (len(events), whole)


def test_a_trainer_whose_store_is_cut_off_ends_with_a_named_error_and_so_does_its_successor(tmp_path: Path) -> None:
    environment = settings(tmp_path, **SMALL, trainer__commit_seconds="0.1")
    write(tmp_path, clicks(3000))
    with running("train", environment=environment) as trainer:
        trainer.ready()
        wait_for(lambda: durable(tmp_path / "store") == 3000, "the events durable", 60)
        os.truncate(tmp_path / "store" / "data.mdb", 16384)
        write(tmp_path, clicks(10))
        assert trainer.wait() == ExitCode.STORE, trainer.lines
        assert any("was cut off" in line and "restore a snapshot" in line for line in trainer.lines), trainer.lines
    again = streammf("train", environment=environment)
    assert again.returncode == ExitCode.STORE
    assert "is cut off after 16,384 bytes" in again.stderr
    doctor = streammf("doctor", "--json", environment=environment)
    assert doctor.returncode == ExitCode.STORE
    assert not json.loads(doctor.stdout)["healthy"]
