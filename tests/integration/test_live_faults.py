"""Live memory under faults: whatever becomes of the trainer, of a worker or of the memory, no request fails meanwhile.

Each test asks every worker without a pause while real processes are killed, and compares in the end with a run in which nothing
went wrong, bit for bit.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streammf.counters.slot import FOLDER, SlotReader
from streammf.errors import ExitCode
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink
from streammf.serving.client import Client
from streammf.state.digest import digest
from streammf.state.live import LiveReader
from streammf.state.store import Store
from tests.integration.asking import Asker, asking
from tests.integration.processes import Running, running, settings, until_events
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(500)

SMALL = {
    "learning__factors": "8",
    "learning__history": "4",
    "learning__recent": "500",
    "learning__neighbours": "10",
    "learning__peers": "4",
    "serving__stale_seconds": "0.5",
    "trainer__commit_seconds": "0.1",
}
#: Events before anything breaks, and the users of them, who are asked for.
FIRST = 600
USERS = [f"user-{n}" for n in range(20)]
BATCH = 4000


def events(first: int, last: int) -> list[Event]:
    """Of few users at first, afterwards each third of a user of its own: tables grow."""
    return [
        Event(
            user=f"user-{n if n >= FIRST and n % 3 == 0 else n % 20}",
            item=f"item-{n * n % 50}",
            ts=1_700_000_000_000 + 1000 * n,
        )
        for n in range(first, last)
    ]


def write(folder: Path, new: Sequence[Event]) -> None:
    """Append to the log of a test."""
    with closing(LogSink(folder / "log", create=True)) as sink:
        for event in new:
            sink.append(b"", encode_json(event), event.ts or 0)


def durable(store: Path) -> int:
    """Events of its last commit."""
    with Store.open_readonly(store) as opened:
        meta = opened.meta()
        return meta.events if meta else 0


def stored(store: Path) -> str:
    with Store.open_readonly(store) as opened:
        return digest(opened)


def learn_until(reached: Callable[[], object], environment: dict[str, str]) -> None:
    """A trainer, from its start until `reached` returns; then it is told to stop, and does."""
    with running("train", environment=environment) as trainer:
        trainer.ready()
        reached()
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == 0, trainer.lines


def learn_all(environment: dict[str, str], store: Path, number: int) -> None:
    """A trainer that nothing happens to, until so many events are durable."""
    learn_until(lambda: wait_for(lambda: durable(store) == number, f"{number} events durable", 120), environment)


def undisturbed(folder: Path, number: int, **more: str) -> str:
    """The digest of a run over the same events in which nothing goes wrong."""
    other = folder / "undisturbed"
    other.mkdir()
    write(other, events(0, number))
    learn_all(settings(other, **SMALL, **more), other / "store", number)
    return stored(other / "store")


@contextmanager
def asked(folder: Path, environment: dict[str, str]) -> Iterator[Asker]:
    """Two workers that serve what a trainer learned of the first events, and somebody who asks them."""
    write(folder, events(0, FIRST))
    learn_all(environment, folder / "store", FIRST)
    with running("serve", environment=environment) as serve, asking(serve.ready().address, USERS) as asker:
        asker.go_on()
        yield asker


@contextmanager
def kept_up(folder: Path, environment: dict[str, str]) -> Iterator[tuple[Running, Asker]]:
    """`up` that has learned the first events, and somebody who asks its workers; it is told to stop in the end, and does."""
    write(folder, events(0, FIRST))
    with running("up", environment=environment) as up:
        until_events(Client(up.ready().address), FIRST)
        with asking(up.address, USERS) as asker:
            asker.go_on()
            yield up, asker
        up.send(signal.SIGTERM)
        assert up.wait() == 0, up.lines


def stale(asker: Asker, words: str) -> None:
    """Wait until every worker says that it answers from what is old, and how old that is; then until it is older still."""
    wait_for(lambda: all(one.status == "stale" and words in (one.reason or "") for one in asker.healths), words, 60)
    ages = [one.age or 0.0 for one in asker.healths]
    wait_for(lambda: all((one.age or 0.0) > age for one, age in zip(asker.healths, ages, strict=True)), "it grows", 60)
    assert all(one.ready for one in asker.healths), "an old model is one to answer from"
    asker.go_on()


def newest(asker: Asker, number: int) -> None:
    """Wait until every worker serves so many events, of a trainer that lives."""
    wait_for(lambda: all((one.status, one.events) == ("ok", number) for one in asker.healths), f"{number} events served", 120)
    asker.go_on()


def killed_in_a_kernel(folder: Path, environment: dict[str, str], number: int) -> bool:
    """Kill a trainer while a kernel learns from a batch, of `number` events in all; whether it was killed there."""
    reader = LiveReader(folder / "live")
    reader.view()  # so that the next look takes no longer than a batch
    with running("train", environment=environment) as trainer:

        def applied() -> int:
            """Events that the kernel has applied since the last publication of this trainer."""
            view = reader.view()
            own = view.header.trainer_pid == trainer.pid
            return int(view.state.whole.events[0]) - view.header.events if own else 0

        wait_for(lambda: applied() > 0 or reader.view().header.events == number, "a kernel at work", 60, pause=0.0)
        trainer.send(signal.SIGKILL)
        assert trainer.wait() == -signal.SIGKILL
        return 0 < applied() < BATCH


def test_a_trainer_killed_in_the_middle_of_a_kernel_leaves_workers_answering_and_its_successor_right(tmp_path: Path) -> None:
    """The rows that the kernel was at are half learned, in the very memory that is served; the store knows nothing of it."""
    number = FIRST
    environment = settings(tmp_path, **SMALL, trainer__batch=str(BATCH))
    with asked(tmp_path, environment) as asker:
        caught = False
        while not caught:
            write(tmp_path, events(number, number + 5 * BATCH))
            number += 5 * BATCH
            caught = killed_in_a_kernel(tmp_path, environment, number)
            assert number < FIRST + 50 * BATCH
        stale(asker, "the trainer has not been heard of for")
        learn_until(lambda: newest(asker, number), environment)
    assert stored(tmp_path / "store") == undisturbed(tmp_path, number, trainer__batch=str(BATCH))


def passed(folder: Path, environment: dict[str, str], place: str) -> int:
    """How often a trainer that finds nothing new passes a place."""
    record = folder / "places"
    with running("train", environment=environment | {"STREAMMF_FAILPOINTS": f"record={record}"}) as trainer:
        trainer.ready().send(signal.SIGTERM)
        assert trainer.wait() == 0, trainer.lines
    return record.read_text().split().count(place)


def killed_at(environment: dict[str, str], place: str, time_passed: int = 1) -> None:
    """A trainer that dies at a place."""
    armed = environment | {"STREAMMF_FAILPOINTS": f"{place}=kill@{time_passed}"}
    with running("train", environment=armed) as trainer:
        assert trainer.wait() == -signal.SIGKILL, (place, trainer.lines)


@pytest.mark.parametrize("place", ["memory.backed", "ids.widened", "rows.added"])
def test_a_trainer_killed_while_a_table_grows_leaves_workers_answering_and_its_successor_right(
    tmp_path: Path, place: str
) -> None:
    number = FIRST + 6000
    environment = settings(tmp_path, **SMALL)
    with asked(tmp_path, environment) as asker:
        at_start = passed(tmp_path, environment, place)
        write(tmp_path, events(FIRST, number))
        killed_at(environment, place, at_start + 1)
        stale(asker, "the trainer has not been heard of for")
        learn_until(lambda: newest(asker, number), environment)
    assert stored(tmp_path / "store") == undisturbed(tmp_path, number)


def test_trainers_killed_at_every_step_of_a_switch_leave_workers_answering_until_one_gets_through(tmp_path: Path) -> None:
    """Before the link is moved workers stay with the old generation, after it they serve the new one, whose trainer is dead."""
    number = FIRST + 500
    environment = settings(tmp_path, **SMALL)
    with asked(tmp_path, environment) as asker:
        write(tmp_path, events(FIRST, number))
        before = asker.generations.copy()
        for place in ("generation.begun", "start.ids", "start.rows", "start.recovered", "header.written", "generation.linked"):
            killed_at(environment, place)
            asker.go_on()
            assert asker.generations == before, place
        killed_at(environment, "generation.published")
        wait_for(lambda: len(asker.generations) == len(before) + 1, "the generation of a trainer that is dead")
        assert all(one.events == FIRST for one in asker.healths)
        stale(asker, "the trainer has not been heard of for")
        learn_until(lambda: newest(asker, number), environment)
        stale(asker, "the trainer has stopped")
    assert stored(tmp_path / "store") == undisturbed(tmp_path, number)


def test_a_trainer_that_stands_still_is_said_to_and_one_that_goes_on_is_ok_again(tmp_path: Path) -> None:
    environment = settings(tmp_path, **(SMALL | {"serving__stale_seconds": "3"}))
    with asked(tmp_path, environment) as asker, running("train", environment=environment) as trainer:
        trainer.ready()
        newest(asker, FIRST)
        trainer.send(signal.SIGSTOP)
        try:
            stale(asker, "the trainer has not been heard of for")
        finally:
            trainer.send(signal.SIGCONT)
        newest(asker, FIRST)


def test_a_killed_worker_costs_no_request_and_is_started_again(tmp_path: Path) -> None:
    with kept_up(tmp_path, settings(tmp_path, **SMALL)) as (up, asker):
        first, second = asker.pids
        os.kill(first, signal.SIGKILL)
        asker.go_on()
        wait_for(lambda: any("is ready again" in line for line in up.lines), "the worker is started again", 60)
        os.kill(second, signal.SIGKILL)
        wait_for(lambda: len(asker.pids) == 3, "the new worker answers", 60)
        asker.go_on()


def test_a_full_memory_stops_learning_by_name_and_serving_never_and_learning_goes_on_once_there_is_room(
    tmp_path: Path, small_tmpfs: Path
) -> None:
    """Twice in a row at least: there is no room either for a generation beside the one that is served."""
    number = FIRST + 6000
    with kept_up(tmp_path, settings(tmp_path, **SMALL, live__path=str(small_tmpfs / "live"))) as (up, asker):
        ballast = small_tmpfs / "ballast"
        ballast.write_bytes(bytes(os.statvfs(small_tmpfs).f_bavail * 4096 - (32 << 10)))
        write(tmp_path, events(FIRST, number))
        wait_for(lambda: full(up) >= 2, "the trainer says twice that the memory is full", 120)
        stale(asker, "the trainer has")
        ballast.unlink()
        newest(asker, number)
    assert stored(tmp_path / "store") == undisturbed(tmp_path, number)


def full(up: Running) -> int:
    """How often a trainer ended because the memory is full, with its remedy."""
    said = [line for line in list(up.lines) if f"exit code {ExitCode.MEMORY}" in line]
    assert all("live.path" in line for line in said), said
    return len(said)


def test_a_live_memory_removed_under_everybody_is_made_anew_and_everybody_counts_there(tmp_path: Path) -> None:
    number = FIRST + 500
    with kept_up(tmp_path, settings(tmp_path, **SMALL)) as (up, asker):
        shutil.rmtree(tmp_path / "live")
        write(tmp_path, events(FIRST, number))
        newest(asker, number)
        wait_for(lambda: slots(tmp_path) == ["trainer", "worker-1", "worker-2"], "everybody counts again", 60)
        assert len(asker.pids) == 2, "workers need not be started again"
        asker.go_on()
        said = [line for line in up.lines if "was removed while the trainer wrote it" in line]
        assert [(f"exit code {ExitCode.NO_MODEL}" in line, "RemoveIPC" in line) for line in said] == [(True, True)], up.lines
    assert stored(tmp_path / "store") == undisturbed(tmp_path, number)


def slots(folder: Path) -> list[str]:
    """Who counts."""
    return list(SlotReader(folder / "live" / FOLDER).read())
