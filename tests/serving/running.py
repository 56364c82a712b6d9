"""A server in a thread, for tests that speak to it over a real socket."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgpack
from hypothesis import HealthCheck, settings

from streammf.errors import NoModelError, RequestError
from streammf.serving.dispatch import Outcome, Respond
from streammf.serving.messages import (
    AnyRequest,
    Health,
    HealthAnswer,
    Info,
    Popular,
    PredictAnswer,
    RankedItem,
    RankingAnswer,
    Recommend,
    SimilarItems,
)
from streammf.serving.options import ServingOptions
from streammf.serving.protocol import Framer, framed
from streammf.serving.server import Server

#: Longer than anything here takes on a busy machine, shorter than a test may.
PATIENCE = 20.0


#: For properties: what they say does not depend on how busy the machine is.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Running:
    """The server, its loop, and what tests want to know."""

    def __init__(self, respond: Respond, options: ServingOptions) -> None:
        self.server = Server(respond, options)
        self.loop = asyncio.new_event_loop()
        self.address = ("", 0)
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(),), daemon=True)

    @property
    def name(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def start(self) -> "Running":
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def ask_to_stop(self) -> None:
        """Begin to drain; to be called in the loop."""
        self._stop.set()

    def stop(self) -> None:
        """Drain, and wait for it. Idempotent."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.ask_to_stop)
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()
            self.loop.close()

    async def _run(self) -> None:
        self.address = await self.server.start()
        self._started.set()
        await self._stop.wait()
        await self.server.drain()


@contextmanager
def running(respond: Respond, **options: Any) -> Iterator[Running]:
    """A server on a free port."""
    server = Running(respond, ServingOptions(**{"port": 0, **options})).start()
    try:
        yield server
    finally:
        server.stop()


class Peer:
    """A client that says whatever a test wants."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self._framer = Framer(1 << 24)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, *requests: dict[str, Any]) -> None:
        self.socket.sendall(b"".join(framed(msgpack.packb(request)) for request in requests))

    def hear(self) -> dict[str, Any] | None:
        """The next answer; None once the server has hung up."""
        while (body := self._framer.next()) is None:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._framer.feed(data)
        answer = msgpack.unpackb(body)
        assert isinstance(answer, dict)
        return answer


class Model:
    """A respond() whose answers a test knows: predict answers `value`, popular as many items as asked for."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value
        self.reached = 0
        """The next offset of the partition ("events", 0)."""
        self.asked = 0
        self.together: list[int] = []
        """How many requests came at once, each time."""

    def __call__(self, requests: Sequence[AnyRequest]) -> list[Outcome]:
        self.together.append(len(requests))
        return [self.one(request) for request in requests]

    def one(self, request: AnyRequest) -> Outcome:
        self.asked += 1
        position = [("events", 0, self.reached)]
        match request:
            case Health():
                return HealthAnswer(request.id, status="ok", ready=True)
            case Info():
                return NoModelError("no model yet")
            case Recommend():
                raise ZeroDivisionError("a defect")
            case SimilarItems():
                return RequestError("bad_request", "k = 1; whatever")
        if any(offset > self.reached for _, _, offset in request.at_least):
            return None
        if isinstance(request, Popular):
            items = [RankedItem(f"item{n}", 1.0 / (n + 1), "popular") for n in range(request.k)]
            return RankingAnswer(request.id, items=items, position=position, events=self.reached)
        return PredictAnswer(
            request.id, value=self.value, user_known=True, item_known=True, position=position, events=self.reached
        )
