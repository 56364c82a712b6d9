"""A trainer and a worker as processes of their own, steered through pipes: what tests of live memory kill."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.header import Header
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.options import Limits

OPTIONS = LearningOptions(factors=8, history=4, recent=100)
LIMITS = Limits(users=1_000_000, items=100_000)


def name_of(user: int) -> str:
    """User number n; her bias is n."""
    return f"user-{user}"


def learn_until(writer: LiveWriter, users: int) -> None:
    """Make rows for users up to this number."""
    known = writer.users.count
    _, keys = writer.users.register([name_of(user) for user in range(known, users)])
    writer.memory.add_rows(Axis.USER, keys)
    writer.memory.state.users.bias[known:users] = np.arange(known, users)
    writer.memory.state.whole.events[0] = users


def header_of(users: int) -> Header:
    """What is true after `learn_until(users)`."""
    return Header(status="learning", events=users, clock=users, positions=[("users", 0, users)])


def train(base: Path, pipe: Connection) -> None:
    """For each number received: learn until it and publish. A pair (first, last): publish each number between."""
    ready()
    writer = LiveWriter(base, OPTIONS, LIMITS)
    pipe.send("ready")
    while True:
        first, last = pipe.recv()
        for users in range(first, last + 1):
            learn_until(writer, users)
            writer.publish(header_of(users))
        pipe.send(last)


def serve(base: Path, pipe: Connection) -> None:
    """For each user received: (generation, users, row, bias, address of the biases)."""
    ready()
    reader = LiveReader(base)
    pipe.send("ready")
    while True:
        user = pipe.recv()
        view = reader.view()
        row = view.user_row(name_of(user))
        biases = view.state.users.bias
        bias = float(biases[row]) if row >= 0 else None
        pipe.send((view.header.generation, view.header.events, row, bias, biases.ctypes.data))


class Child:
    """One process and the pipe to it."""

    def __init__(self, target: Callable[[Path, Connection], None], base: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(base, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, order: object) -> None:
        """Send, and do not wait."""
        self._pipe.send(order)

    def ask(self, question: object) -> Any:
        """Send and wait for the answer."""
        self.tell(question)
        return self.answer()

    def answer(self) -> Any:
        """The next thing it says; AssertionError when it says nothing for a minute."""
        assert self._pipe.poll(60), "the process does not answer"
        return self._pipe.recv()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.join()


@contextmanager
def started(*wanted: tuple[Callable[[Path, Connection], None], Path]) -> Iterator[list[Child]]:
    """Children that are ready; killed at the end."""
    children = [Child(target, base) for target, base in wanted]
    try:
        for child in children:
            assert child.answer() == "ready"
        yield children
    finally:
        for child in children:
            child.kill()
