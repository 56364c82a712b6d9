"""The answers over HTTP, from slots and a live memory that a test made."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streammf.counters.block import Block
from streammf.counters.slot import FOLDER, Slot, take
from streammf.errors import ConfigurationError
from streammf.operations.telemetry import ALL, HUNG, TRAINERS, WORKERS, Health, Subject, telemetry
from streammf.serving.counting import FAMILIES
from streammf.serving.options import ServingOptions
from streammf.state.generation import remove
from streammf.state.header import Header
from streammf.state.live import LiveWriter
from streammf.trainer import note
from streammf.trainer.counting import families
from streammf.trainer.note import MOST_NAMED, End, Note
from streammf.trainer.options import TrainerOptions
from tests.integration.scrapes import page, series, value
from tests.trainer.test_loop import LEARNING, LIMITS
from tests.waiting import wait_for


class Fleet:
    """A trainer's and two workers' slots, and a live memory, in this process."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.trainer = take(base / FOLDER, "trainer", families(["click"])).block
        self.workers = [take(base / FOLDER, f"worker-{n}", FAMILIES).block for n in (1, 2)]
        self.live = LiveWriter(base, LEARNING, LIMITS)
        self.alive()

    def alive(self) -> None:
        for block in (self.trainer, *self.workers):
            block.gauge("heartbeat").set(time.time())

    def publish(self, positions: list[tuple[str, int, int]], events: int = 0) -> None:
        self.live.publish(Header(status="learning", positions=positions, events=events, committed_events=events))

    def subject(self, roles: frozenset[str]) -> Subject:
        return Subject(self.base, self.base / "store", roles, ServingOptions(), TrainerOptions())


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path / "live")
    yield fleet
    fleet.live.close()


def text(health: Health) -> str:
    return health.answer("/metrics")[2].decode()


def test_workers_are_told_apart_and_dead_ones_hold_no_connection(fleet: Fleet) -> None:
    for n, block in enumerate(fleet.workers, 1):
        block.counter("queries_total", "popular", "ok").add(n)
        block.histogram("query_seconds", "popular").observe(0.003)
        block.gauge("connections").set(5)
    fleet.workers[1].gauge("heartbeat").set(time.time() - 60)
    found = text(Health(fleet.subject(ALL)))
    assert value(found, "streammf_queries_total", worker="2", op="popular", outcome="ok") == 2
    assert value(found, "streammf_query_seconds_bucket", worker="1", op="popular", le="0.005") == 1
    assert value(found, "streammf_query_seconds_bucket", worker="1", op="popular", le="0.0025") == 0
    assert value(found, "streammf_query_seconds_bucket", worker="1", op="popular", le="+Inf") == 1
    assert value(found, "streammf_connections", worker="1") == 5
    assert value(found, "streammf_connections", worker="2") == 0
    assert value(found, "streammf_process_up") == 2


def test_partitions_beyond_a_number_are_one_sum_and_an_open_transaction_is_lag(fleet: Fleet) -> None:
    partitions = MOST_NAMED + 10
    fleet.publish([("events", n, 10) for n in range(partitions)])
    now = int(time.time() * 1000)
    ends = [End("events", n, 12 if n == 0 else 10, 10, now - 5_000) for n in range(MOST_NAMED)]
    note.write(fleet.trainer, Note(since=time.time(), ends=ends, others=End("others", -1, 103, 101, 0)))
    found = text(Health(fleet.subject(ALL)))
    positions = [labels for (name, labels) in series(found) if name == "streammf_position"]
    assert len(positions) == MOST_NAMED + 1
    assert value(found, "streammf_position", topic="others") == 100
    assert value(found, "streammf_lag_messages", topic="others") == 3
    assert value(found, "streammf_lag_messages") == 5
    assert value(found, "streammf_log_readable", topic="events", partition="0") == 10
    assert value(found, "streammf_log_end", topic="events", partition="0") == 12
    assert 4.9 < value(found, "streammf_lag_seconds", topic="events") < 20


def test_a_position_beyond_the_end_as_last_seen_is_no_negative_lag(fleet: Fleet) -> None:
    fleet.publish([("events", 0, 50)])
    note.write(fleet.trainer, Note(since=time.time(), ends=[End("events", 0, 20, 20, 1)]))
    found = text(Health(fleet.subject(ALL)))
    assert value(found, "streammf_log_end") == value(found, "streammf_log_readable") == 50
    assert value(found, "streammf_lag_messages") == value(found, "streammf_lag_seconds") == 0


def test_readiness_follows_what_happens_and_a_live_memory_that_comes_back_is_found(fleet: Fleet) -> None:
    health = Health(fleet.subject(ALL))
    assert health.answer("/readyz")[::2] == (503, b"not ready: there is no model yet\n")
    fleet.publish([])
    assert health.answer("/readyz")[::2] == (200, b"ready\n")
    note.write(fleet.trainer, Note(trouble="nobody there"))
    assert health.answer("/readyz")[::2] == (503, b"not ready: the log cannot be reached: nobody there\n")
    assert value(text(health), "streammf_ready") == 0
    assert Health(fleet.subject(WORKERS)).answer("/readyz")[0] == 200
    fleet.live.close()
    remove(fleet.base)
    assert b"there is no model yet" in health.answer("/readyz")[2]
    again = Fleet(fleet.base)
    again.publish([])
    assert health.answer("/readyz")[::2] == (200, b"ready\n")
    again.live.close()


def test_livez_looks_at_this_process_alone(fleet: Fleet) -> None:
    own = Block.private(FAMILIES)
    slot = Slot("trainer", own, -1)
    health = Health(Subject(Path("/nowhere"), Path("/nowhere"), TRAINERS, ServingOptions(), TrainerOptions()), slot)
    assert health.answer("/livez")[::2] == (200, b"alive\n")
    own.gauge("heartbeat").set(time.time() - HUNG - 5)
    status, _, body = health.answer("/livez")
    assert (status, body.startswith(b"not alive: no sign of life for 6")) == (503, True)
    own.gauge("heartbeat").set(time.time())
    assert health.answer("/livez")[0] == 200


def test_slow_and_many_clients_do_not_keep_others_out(fleet: Fleet) -> None:
    fleet.publish([])
    with telemetry(Health(fleet.subject(ALL)), "127.0.0.1", 0) as address, ExitStack() as clients:
        host, port = address.split(":")
        for _ in range(100):
            clients.enter_context(socket.create_connection((host, int(port)), 5)).sendall(b"GET /met")
        fleet.alive()
        wait_for(lambda: page(address, "/livez").status == 200, "an answer once the slow ones were cut off")
        assert page(address, "/nothing").status == 404


def test_a_port_that_is_taken_is_named() -> None:
    health = Health(Subject(Path("/nowhere"), Path("/nowhere"), ALL, ServingOptions(), TrainerOptions()))
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match=r"cannot listen on 127.0.0.1:\d+ \(\[telemetry\]\)"),
        telemetry(health, "127.0.0.1", taken.getsockname()[1]),
    ):
        pass
