"""The server: one listening socket of one worker, shared by address with the other workers.

Rules of this file:
1. Several workers listen on one port (SO_REUSEPORT); the kernel gives each new connection to one of them.
2. Nobody is authenticated: what is not loopback is refused, unless the configuration says so in so many words.
3. Draining: first no more connections, so that a client that comes again finds another worker; then what is under way
   is answered; then the connections close.
"""

import asyncio
import ipaddress
import socket
import time
from typing import Final

from streammf.counters.block import Block
from streammf.errors import ConfigurationError
from streammf.serving.connection import Connection
from streammf.serving.counting import FAMILIES, WorkerCounters
from streammf.serving.dispatch import Dispatcher, Respond
from streammf.serving.options import ServingOptions

#: How late a deadline may be noticed.
SWEEP_SECONDS: Final = 0.1
#: Connections that the kernel keeps for a busy worker.
BACKLOG: Final = 1024


def refuse_remote(options: ServingOptions) -> None:
    """Raise ConfigurationError where other machines could reach the server and nobody said that they may."""
    if options.allow_remote:
        return
    try:
        found = socket.getaddrinfo(options.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(f"serving.host: {options.host!r} is no address of this machine ({error})") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise ConfigurationError(
                f"serving.host = {options.host!r} can be reached from other machines, and this release has no "
                "authentication: use 127.0.0.1, or set serving.allow_remote = true where the network itself is closed"
            )


class Server:
    """Accepts connections and answers requests with `respond`."""

    def __init__(self, respond: Respond, options: ServingOptions, block: Block | None = None) -> None:
        """`block`: of counting.FAMILIES, where others read what is counted."""
        self._options = options
        self._counters = WorkerCounters(block or Block.private(FAMILIES))
        self._dispatcher = Dispatcher(respond, self._counters)
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self) -> tuple[str, int]:
        """Listen. Returns the address. Raises ConfigurationError."""
        refuse_remote(self._options)
        host, port = self._options.host, self._options.port
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._dispatcher, self._options, self._connections),
                host,
                port,
                reuse_port=True,
                backlog=BACKLOG,
            )
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port} (serving.host, serving.port): {error}") from error
        self._sweep()
        address: tuple[str, int] = self._listener.sockets[0].getsockname()[:2]
        return address

    def count_in(self, block: Block) -> None:
        """Count there from now on."""
        self._counters = self._dispatcher.counters = WorkerCounters(block)

    @property
    def connections(self) -> int:
        """Open connections, those that are being hung up on among them."""
        return len(self._connections)

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            connection.sweep(now)
        self._counters.connections.set(len(self._connections))
        self._counters.heartbeat.set(time.time())
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    async def drain(self) -> None:
        """Stop listening, answer what is under way, close."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.drain()
        deadline = time.monotonic() + self._options.drain_seconds
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
