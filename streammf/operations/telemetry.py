"""Metrics and health over HTTP, for Prometheus and for orchestrators: /metrics, /livez, /readyz.

Rules of this file:
1. One process answers for all those it runs: one port, whatever dies behind it.
2. /livez says whether the process that answers has hung: it asks nobody and touches no file. /readyz reads shared memory
   only. Neither waits for Kafka or a disk.
3. No client costs much: few connections at a time, and none for long.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6, socket
from socketserver import TCPServer
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

from streammf.counters.slot import FOLDER, Slot, SlotReader
from streammf.errors import ConfigurationError
from streammf.learning.options import LearningOptions
from streammf.learning.tables import TABLES, Table, in_use
from streammf.operations import readiness
from streammf.operations.configuration import Configuration
from streammf.operations.readiness import TRAINER, WORKER, Limits, Sight
from streammf.operations.series import Exposition
from streammf.serving.options import ServingOptions
from streammf.state.datafile import NAME as DATA_FILE
from streammf.state.last_header import LastHeader
from streammf.state.options import LiveOptions, StoreOptions, live_path
from streammf.trainer import note
from streammf.trainer.note import Note
from streammf.trainer.options import TrainerOptions

log: Final = logging.getLogger(__name__)

#: What every Prometheus reads.
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds; a loop that has not turned for so long hangs.
HUNG: Final = 60.0
#: How late the end is noticed.
_LOOK_SECONDS: Final = 0.1
#: Connections at a time; those beyond are closed at once.
_MOST_CONNECTIONS: Final = 16

#: Whose numbers `train`, `serve` and `up` tell.
TRAINERS: Final = frozenset({TRAINER})
WORKERS: Final = frozenset({WORKER})
ALL: Final = TRAINERS | WORKERS


class TelemetryOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where metrics and health are asked for."""

    enabled: bool = True
    """Answer /metrics, /livez and /readyz over HTTP."""
    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on. Nobody is authenticated; what is told is numbers and topics' names, no user and no item."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 9464
    """TCP port of `up` and `train`; 0: any free one."""
    workers_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 9465
    """TCP port of `serve`, so that it may run beside `train`; 0: any free one."""


class Watch:
    """Looks at slots and live memory, for the processes of some roles. For any thread."""

    def __init__(self, base: Path, roles: frozenset[str]) -> None:
        self._roles = roles
        self._slots = SlotReader(base / FOLDER)
        self._header = LastHeader(base)
        self._one_at_a_time = threading.Lock()

    def look(self) -> Sight:
        """How things stand."""
        with self._one_at_a_time:
            slots, header = self._slots.read(), self._header.read()
        said = note.read(slots[TRAINER]) if TRAINER in slots else Note()
        ours = {name: block for name, block in slots.items() if readiness.role(name) in self._roles}
        return Sight(time.time(), header, ours, said)


class Subject(NamedTuple):
    """What is told of: the live memory, the store beside it, the roles of the processes, and the settings they run with."""

    base: Path
    store: Path
    roles: frozenset[str]
    serving: ServingOptions
    trainer: TrainerOptions
    tables: Sequence[Table] = TABLES
    """Those that the model has rows of."""

    @property
    def limits(self) -> Limits:
        """From when on something is wrong."""
        return Limits(self.serving.stale_seconds, self.trainer.commit_seconds)


class Health:
    """The answers, without HTTP."""

    def __init__(self, subject: Subject, own: Slot | None = None) -> None:
        """`own`: where this very process counts, if it does more than look after others."""
        self._subject = subject
        self._own = own
        self._watch = Watch(subject.base, subject.roles)
        self._registry = CollectorRegistry()
        store = subject.store / DATA_FILE
        self._registry.register(
            Exposition(
                self._watch.look, lambda sight: not self._reasons(sight), subject.roles, subject.base, store, subject.tables
            )
        )

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        match path.partition("?")[0]:
            case "/metrics":
                return 200, _TEXT, generate_latest(self._registry)
            case "/livez":
                return self._said("alive", self._hung(), [])
            case "/readyz":
                sight = self._watch.look()
                remarks = [] if TRAINER in self._subject.roles else readiness.remarks(sight, self._subject.limits)
                return self._said("ready", self._reasons(sight), remarks)
            case _:
                return 404, _TEXT, b"there is /metrics, /livez and /readyz\n"

    def _reasons(self, sight: Sight) -> list[str]:
        return readiness.reasons(sight, self._subject.roles, self._subject.limits)

    def _hung(self) -> list[str]:
        beat = self._own.block.value("heartbeat") if self._own else 0.0
        silent = time.time() - beat if beat else 0.0  # none yet: it starts, or reads back what it had learned
        return [f"no sign of life for {silent:.0f} s"] if silent > HUNG else []

    @staticmethod
    def _said(good: str, reasons: list[str], remarks: list[str]) -> tuple[int, str, bytes]:
        lines = [*(f"not {good}: {reason}" for reason in reasons), *(f"remark: {remark}" for remark in remarks)]
        if not reasons:
            lines.insert(0, good)
        return 503 if reasons else 200, _TEXT, "".join(f"{line}\n" for line in lines).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], requests: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, requests)

    def server_bind(self) -> None:
        """Without http.server's question for the host's name, which may take seconds and is used for nothing."""
        TCPServer.server_bind(self)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401
        """A client that hangs up is nobody's business."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("a question for metrics or health could not be answered")


@contextmanager
def telemetry(health: Health, host: str, port: int) -> Iterator[str]:
    """Answer while the block runs; gives the address. Raises ConfigurationError where it cannot be had."""

    class Requests(BaseHTTPRequestHandler):
        timeout: ClassVar[float] = 5.0

        def do_GET(self) -> None:
            status, kind, body = health.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server calls it by
            """Scrapes are not news."""

    try:
        server = _Server((host, port), Requests)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ([telemetry]): {error.strerror or error}; choose another port, or set "
            "telemetry.enabled = false"
        ) from error
    threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,), name="telemetry", daemon=True).start()
    try:
        yield f"{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def telemetry_of(configuration: Configuration, roles: frozenset[str], own: Slot | None = None) -> Iterator[str]:
    """The same, as configured for a process of these roles; gives what its `ready` line adds, nothing where it is off."""
    options = configuration.of(TelemetryOptions)
    if not options.enabled:
        yield ""
        return
    store = Path(configuration.of(StoreOptions).path)
    base = live_path(configuration.of(LiveOptions), store)
    tables = in_use(TABLES, configuration.of(LearningOptions).dimensions)
    subject = Subject(base, store, roles, configuration.of(ServingOptions), configuration.of(TrainerOptions), tables)
    port = options.port if TRAINER in roles else options.workers_port
    with telemetry(Health(subject, own), options.host, port) as address:
        yield f", metrics at http://{address}/metrics"
