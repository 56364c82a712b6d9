"""Clients that ask one server, each its next question when its answer has come.

All in one process that does as little as can be: questions stand ready as bytes, answers are counted and not decoded. How
busy it was is said, and how busy the server: a figure of the server's needs clients that wait.
"""

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import msgpack
import numpy as np

from scripts.benchmarks.shop import name_of_user
from streammf.serving.protocol import PREFIX, framed

#: What every good answer holds: "ok": true, in MessagePack.
OK: Final = b"\xa2ok\xc3"
QUESTIONS: Final = 5000
#: Of /proc/<pid>/stat: fields after the name, and their ticks.
USER_TIME, SYSTEM_TIME, TICKS = 11, 12, 100


@dataclass(frozen=True)
class Asking:
    """What came of it."""

    answers: int
    seconds: float
    latencies: Sequence[float]
    """Seconds of each."""
    client_busy: float
    """Share of one core that this process took."""
    server_busy: float


def questions(users: int, k: int) -> Iterator[bytes]:
    """Frames that ask for the recommendations of users at random, without end."""
    asked = np.random.default_rng(2).integers(0, users, QUESTIONS).tolist()
    bodies = [{"id": n, "op": "recommend", "user": name_of_user(user), "k": k} for n, user in enumerate(asked)]
    return cycle([framed(msgpack.packb(body)) for body in bodies])


def ask(address: str, server: int, frames: Iterator[bytes], clients: int, seconds: float) -> Asking:
    """`clients` connections ask for `seconds`. server: its process id."""
    host, _, port = address.rpartition(":")
    latencies: list[float] = []
    connections = [_Connection(socket.create_connection((host, int(port)))) for _ in range(clients)]
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        own, others, began = time.process_time(), processor_seconds(server), time.perf_counter()
        for connection in connections:
            connection.say(next(frames))
        while (now := time.perf_counter()) - began < seconds:
            for key, _ in selector.select(seconds):
                if key.data.heard():
                    latencies.append(time.perf_counter() - key.data.said)
                    key.data.say(next(frames))
        took = now - began
        busy = (time.process_time() - own) / took, (processor_seconds(server) - others) / took
    for connection in connections:
        connection.socket.close()
    return Asking(len(latencies), took, latencies, *busy)


class _Connection:
    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.said = 0.0
        self._arrived = b""

    def say(self, frame: bytes) -> None:
        self.said = time.perf_counter()
        self.socket.sendall(frame)

    def heard(self) -> bool:
        """Whether the answer is whole. ConnectionError where it is none."""
        data = self.socket.recv(1 << 16)
        self._arrived += data
        if not data:
            raise ConnectionError("the server hung up")
        if len(self._arrived) < PREFIX or len(self._arrived) < PREFIX + int.from_bytes(self._arrived[:PREFIX], "big"):
            return False
        if OK not in self._arrived:
            raise ConnectionError(f"no answer: {self._arrived!r}")
        self._arrived = b""
        return True


def processor_seconds(process: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / TICKS
