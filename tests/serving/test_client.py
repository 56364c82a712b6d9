"""Both clients against real servers: results, errors, and servers that go away."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import streammf
from streammf.errors import NoModelError, ProtocolError, RequestError
from streammf.serving.async_client import AsyncClient
from streammf.serving.client import Client
from streammf.serving.protocol import framed
from streammf.serving.results import Health, Position, Prediction, RankedItem
from tests.serving.running import Model, running
from tests.waiting import wait_for

Ask = Callable[..., Any]


class Blocking:
    """An AsyncClient that a test can use like a Client: the same tests are for both."""

    def __init__(self, address: str | list[str], timeout: float = 5.0) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._made(address, timeout))

    @staticmethod
    async def _made(address: str | list[str], timeout: float) -> AsyncClient:
        return AsyncClient(address, timeout)

    def __getattr__(self, name: str) -> Ask:
        def ask(*args: Any, **named: Any) -> Any:
            return self._loop.run_until_complete(getattr(self._client, name)(*args, **named))

        return ask

    def __enter__(self) -> "Blocking":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


@pytest.fixture(params=[Client, Blocking], ids=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each of its connections what a test wants."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                answer(peer)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


def test_results_are_typed(connect: Any) -> None:
    with running(Model(3.5)) as server, connect(server.name) as client:
        assert client.predict("ann", "a") == Prediction(3.5, True, True, (Position("events", 0, 0),), 0)
        assert list(client.popular(2)) == [RankedItem("item0", 1.0, "popular"), RankedItem("item1", 0.5, "popular")]
        assert len(client.popular(3)) == 3
        assert client.health() == Health("ok", True, None, None, None, (), 0)


def test_errors_of_the_server_are_raised_and_the_connection_goes_on(connect: Any) -> None:
    with running(Model()) as server, connect(server.name) as client:
        with pytest.raises(NoModelError, match="no model yet"):
            client.info()
        with pytest.raises(RequestError) as caught:
            client.popular(0)
        assert caught.value.code == "bad_request"
        with pytest.raises(RequestError) as caught:
            client.recommend("ann")
        assert caught.value.code == "internal"
        assert client.health().ready
        assert server.server.connections == 1


def test_a_write_can_be_read_back(connect: Any) -> None:
    model = Model()
    with running(model) as server, connect(server.name) as client:
        with pytest.raises(RequestError) as caught:
            client.predict("ann", "a", at_least=[("events", 0, 5)], wait=0.05)
        assert caught.value.code == "behind"
        threading.Timer(0.1, lambda: setattr(model, "reached", 5)).start()
        assert client.predict("ann", "a", at_least=[("events", 0, 5)], wait=10).position == (("events", 0, 5),)


def test_a_wait_that_was_asked_for_comes_on_top_of_the_timeout(connect: Any) -> None:
    with running(Model()) as server, connect(server.name, timeout=0.2) as client:
        with pytest.raises(RequestError) as caught:
            client.predict("ann", "a", at_least=[("events", 0, 5)], wait=0.3)
        assert caught.value.code == "behind"


def test_a_restarted_server_goes_unnoticed(connect: Any) -> None:
    with running(Model(1.0)) as one, connect(one.name) as client:
        assert client.predict("ann", "a").value == 1.0
        one.stop()
        with running(Model(2.0), port=one.address[1]):
            assert client.predict("ann", "a").value == 2.0


def test_the_next_address_is_asked_when_one_goes_away(connect: Any) -> None:
    with running(Model(1.0)) as one, running(Model(2.0)) as two, connect([nowhere(), one.name, two.name]) as client:
        assert client.predict("ann", "a").value == 1.0
        one.stop()
        assert client.predict("ann", "a").value == 2.0


def test_a_server_that_hangs_up_on_every_request_is_asked_four_times_then_named(connect: Any) -> None:
    asked = []

    def hang_up(peer: socket.socket) -> None:
        asked.append(peer.recv(100))
        peer.close()

    with listening(hang_up) as address, connect(address) as client:
        with pytest.raises(NoModelError, match=f"{address} broke 4 times"):
            client.health()
        assert len(asked) == 4


def test_a_server_that_hangs_up_twice_goes_unnoticed(connect: Any) -> None:
    """One that was killed, whose port the kernel has not closed yet."""
    with running(Model(2.0)) as server:
        asked = []

        def pass_on(peer: socket.socket) -> None:
            asked.append(peer)
            if len(asked) <= 2:
                peer.close()
                return
            with socket.create_connection(server.address) as behind:
                behind.sendall(peer.recv(1000))
                peer.sendall(behind.recv(1000))

        with listening(pass_on) as address, connect(address) as client:
            assert client.predict("ann", "a").value == 2.0


def test_nobody_listening_is_an_error_that_names_every_address(connect: Any) -> None:
    addresses = [nowhere(), nowhere()]
    with connect(addresses) as client, pytest.raises(NoModelError) as caught:
        client.health()
    assert all(address in str(caught.value) for address in addresses)
    assert "streammf serve" in str(caught.value)


def test_a_server_that_does_not_answer_is_an_error_after_the_timeout_and_the_next_is_asked_then(connect: Any) -> None:
    silent: list[socket.socket] = []
    with listening(silent.append) as address, running(Model()) as server:
        with connect([address, server.name], timeout=0.3) as client:
            with pytest.raises(NoModelError, match=rf"no answer from {address} within 0\.3 s"):
                client.health()
            assert client.health().ready
        for peer in silent:
            peer.close()


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", framed(b"\xc1"), framed(b"\x05")])
def test_a_peer_that_does_not_speak_the_protocol_is_a_protocol_error(connect: Any, nonsense: bytes) -> None:
    def answer(peer: socket.socket) -> None:
        with peer:
            peer.recv(100)
            peer.sendall(nonsense)

    with listening(answer) as address, connect(address) as client, pytest.raises(ProtocolError):
        client.health()


def test_a_full_server_sends_the_client_to_the_next(connect: Any) -> None:
    with running(Model(1.0), most_connections=1) as full, running(Model(2.0)) as other, Client(full.name) as first:
        assert first.predict("ann", "a").value == 1.0
        with connect([full.name, other.name]) as client:
            assert client.predict("ann", "a").value == 2.0


def test_a_request_that_cannot_be_packed_is_refused_and_the_next_works(connect: Any) -> None:
    with running(Model()) as server, connect(server.name) as client:
        with pytest.raises(RequestError):
            client.predict("ann", object())
        assert client.health().ready


def test_threads_share_a_client() -> None:
    with running(Model(3.5)) as server, Client(server.name) as client:
        values: list[float] = []

        def ask() -> None:
            values.extend(client.predict("ann", "a").value for _ in range(50))

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert values == [3.5] * 400
        assert server.server.connections == 1


def pipelined(address: str, body: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncClient(address) as client:
            await body(client)

    asyncio.run(run())


def test_many_requests_at_once_share_one_connection_and_overtake_each_other() -> None:
    model = Model()
    with running(model) as server:

        async def body(client: AsyncClient) -> None:
            late = asyncio.create_task(client.predict("ann", "a", at_least=[("events", 0, 5)], wait=10))
            lists = await asyncio.gather(*(client.popular(k) for k in range(1, 200)))
            assert [len(found) for found in lists] == list(range(1, 200))
            assert not late.done()
            model.reached = 5
            assert (await late).events == 5
            assert server.server.connections == 1

        pipelined(server.name, body)


def test_requests_that_are_under_way_when_a_server_dies_are_asked_again() -> None:
    model = Model(2.0)
    with running(model, drain_seconds=0.01) as one:

        async def body(client: AsyncClient) -> None:
            tasks = [asyncio.create_task(client.predict("ann", "a", at_least=[("events", 0, 5)], wait=10)) for _ in range(20)]
            await asyncio.to_thread(wait_for, lambda: model.asked >= 20, "all requests have come")
            one.stop()  # blocks the loop, so that the address is served again before the client sees the break
            model.reached = 5
            with running(model, port=one.address[1]):
                assert [(await task).value for task in tasks] == [2.0] * 20

        pipelined(one.name, body)


def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    model = Model()
    with running(model) as server:

        async def body(client: AsyncClient) -> None:
            task = asyncio.create_task(client.predict("ann", "a", at_least=[("events", 0, 5)], wait=10))
            await client.health()
            task.cancel()
            model.reached = 5
            await asyncio.gather(*(client.health() for _ in range(10)))

        pipelined(server.name, body)


def test_the_clients_import_nothing_that_computes_stores_or_consumes() -> None:
    program = """
import sys
from streammf import Client
heavy = {"numpy", "numba", "lmdb", "confluent_kafka", "msgspec", "asyncio", "click", "rich"} & set(sys.modules)
assert not heavy, heavy
from streammf import AsyncClient
heavy = {"numpy", "numba", "lmdb", "confluent_kafka", "msgspec", "click", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert streammf.Client is Client
    assert streammf.AsyncClient is AsyncClient
