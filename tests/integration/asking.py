"""Somebody who asks every worker, again and again, while a test breaks things: no request may fail.

Rules of this file:
1. The thread ends with the block, whatever becomes of the test; that nothing failed is asserted where nothing else did.
2. A failure is any answer but a whole one: an error, a refusal, a list that is short, a score that is no number.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from threading import Event, Thread

from streammf.serving.client import Client
from streammf.serving.results import Health
from tests.waiting import wait_for

#: Seconds for one request: cores are shared with others.
PATIENCE = 60.0
#: Seconds between two rounds.
PAUSE = 0.002
K = 5


class Asker(Thread):
    """Asks the workers at an address for the lists of `users`, how they are, and what they serve."""

    def __init__(self, clients: Sequence[Client], users: Sequence[str]) -> None:
        super().__init__(name="asker", daemon=True)
        self.answered = 0
        """Rounds that every client got whole answers in."""
        self.failures: list[str] = []
        self.healths: list[Health] = []
        """Of the last round, one a client."""
        self.generations: set[int] = set()
        """Ever served."""
        self.pids: set[int] = set()
        """Of the workers that ever answered."""
        self._clients = clients
        self._users = cycle(users)
        self._ended = Event()

    def run(self) -> None:
        """The thread's own work."""
        while not self._ended.wait(PAUSE):
            try:
                self.healths = [self._ask(client) for client in self._clients]
            except Exception as error:  # noqa: BLE001 - what nobody foresaw is what is looked for
                self.failures.append(f"{type(error).__name__}: {error}")
            else:
                self.answered += 1

    def go_on(self, rounds: int = 5) -> None:
        """Wait for so many rounds more: nothing that has happened until now stops them."""
        wanted = self.answered + rounds
        wait_for(lambda: self.answered >= wanted or self.failures, f"{rounds} more rounds of answers", PATIENCE)
        assert not self.failures, self.failures

    def stop(self) -> None:
        """End, however the workers stand."""
        self._ended.set()
        self.join(2 * PATIENCE)

    def _ask(self, client: Client) -> Health:
        answer = client.recommend(next(self._users), k=K)
        if len(answer) != K or not all(math.isfinite(one.score) for one in answer):
            self.failures.append(f"no whole list: {answer}")
        info = client.info()
        self.generations.add(info.generation)
        self.pids.add(info.pid)
        return client.health()


@contextmanager
def asking(address: str, users: Sequence[str], workers: int = 2) -> Iterator[Asker]:
    """An asker while the block runs, with a connection to each of so many workers."""
    with ExitStack() as opened:
        reached: dict[int, Client] = {}

        def met() -> bool:
            client = opened.enter_context(Client(address, timeout=PATIENCE))
            reached.setdefault(client.info().pid, client)
            return len(reached) == workers

        wait_for(met, f"{workers} workers answer at {address}", 60)
        asker = Asker([*reached.values()], users)
        asker.start()
        try:
            yield asker
        finally:
            asker.stop()
        assert not asker.failures, asker.failures[:5]
        assert asker.answered
