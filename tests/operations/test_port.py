"""The port that workers share."""

import socket
from contextlib import suppress

import pytest

from streammf.errors import ConfigurationError
from streammf.operations.port import hold


def listener(port: int) -> socket.socket:
    """What a worker does."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found


def accepted(server: socket.socket) -> int:
    """How many connections wait for it."""
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_workers_can_listen_on_the_port_that_is_held_and_get_every_connection() -> None:
    with hold("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with listener(port) as first, listener(port) as second:
            clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
            assert accepted(first) + accepted(second) == 20
            for client in clients:
                client.close()


def test_a_port_that_somebody_listens_on_is_refused_although_it_could_be_shared() -> None:
    with listener(0) as stranger, pytest.raises(ConfigurationError, match=r"serving\.port.*in use"):
        hold("127.0.0.1", stranger.getsockname()[1])


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:0"):
        hold("192.0.2.1", 0)
