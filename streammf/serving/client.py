"""The client that blocks. (The one that awaits is in async_client.py: two thin faces of one Conversation.)

Rules of this file:
1. Light: the standard library and `msgpack`; never numpy, numba, lmdb or a Kafka client, and no asyncio either.
2. Every request is safe to repeat. One whose connection breaks is asked again, of the next address, a few times.
3. Errors are StreamMF's: NoModelError (no server answers, or it has no model), RequestError (refused; `code` says why),
   ProtocolError (the peer does not speak the protocol).
"""

import socket
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from streammf.errors import NoModelError
from streammf.serving import conversation
from streammf.serving.conversation import AtLeast, Call, Conversation
from streammf.serving.results import Health, Info, Prediction, Ranking

T = TypeVar("T")

#: Bytes asked of the socket at a time; an answer is a few hundred.
CHUNK: Final = 1 << 16


class Client:
    """A connection to a server, made when first needed. One request at a time; threads may share it, and take turns.

    `address`: "host:port", or several, of servers with the same model. `timeout`: seconds for a whole request,
    connecting included; what the request itself asks to wait comes on top.
    """

    def __init__(self, address: str | Sequence[str] = conversation.ADDRESS, timeout: float = 5.0) -> None:
        self._addresses = conversation.addresses(address)
        self._timeout = timeout
        self._at = 0
        self._socket: socket.socket | None = None
        self._conversation = Conversation()
        self._turn = threading.Lock()

    def recommend(
        self,
        user: str | None = None,
        *,
        items: Sequence[str] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        at_least: AtLeast | None = None,
        wait: float | None = None,
    ) -> Ranking:
        """Items for a user, or for an anonymous visitor who has had `items`.

        `at_least`: positions that the answer must include; after `wait` seconds (default 1) without them, a
        RequestError with code `behind`.
        """
        return self._ask(conversation.recommend(user, items, k, exclude_seen).after(at_least, wait))

    def similar_items(self, item: str, k: int = 10) -> Ranking:
        """Items like an item."""
        return self._ask(conversation.similar_items(item, k))

    def popular(self, k: int = 10) -> Ranking:
        """Items that most people like now."""
        return self._ask(conversation.popular(k))

    def predict(self, user: str, item: str, *, at_least: AtLeast | None = None, wait: float | None = None) -> Prediction:
        """What a user thinks of an item."""
        return self._ask(conversation.predict(user, item).after(at_least, wait))

    def health(self) -> Health:
        """How the server is."""
        return self._ask(conversation.HEALTH)

    def info(self) -> Info:
        """What the server has learned."""
        return self._ask(conversation.INFO)

    def close(self) -> None:
        """Hang up. The next request connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ask(self, call: Call[T]) -> T:
        with self._turn:
            try:
                answer = self._again(call, time.monotonic() + self._timeout + call.wait)
            except BaseException:  # whatever it was: an answer that is still under way must not meet the next request
                self.close()
                raise
            return conversation.read(call, answer)

    def _again(self, call: Call[Any], deadline: float) -> dict[str, Any]:
        try:
            for pause in conversation.PAUSES:
                try:
                    return self._once(call, deadline)
                except ConnectionError:
                    self._move_on()
                    time.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))
            return self._once(call, deadline)
        except TimeoutError:
            where = conversation.named(self._addresses[self._at])
            self._move_on()
            raise NoModelError(f"no answer from {where} within {self._timeout + call.wait:g} s") from None
        except OSError as error:
            raise conversation.broken(self._addresses[self._at], error) from error

    def _move_on(self) -> None:
        self.close()
        self._at = (self._at + 1) % len(self._addresses)

    def _connect(self, deadline: float) -> None:
        """Connect to the first address that answers, from the current one on."""
        if self._socket is not None:
            return
        refused: list[tuple[conversation.Address, OSError]] = []
        for turn in range(len(self._addresses)):
            at = (self._at + turn) % len(self._addresses)
            patience = max(deadline - time.monotonic(), 0.001) / (len(self._addresses) - turn)
            try:
                self._socket = socket.create_connection(self._addresses[at], timeout=patience)
            except OSError as error:
                refused.append((self._addresses[at], error))
                continue
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._at = at
            self._conversation = Conversation()
            return
        raise conversation.nobody(refused)

    def _once(self, call: Call[Any], deadline: float) -> dict[str, Any]:
        self._connect(deadline)
        assert self._socket is not None
        request_id, frame = self._conversation.ask(call)
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        self._socket.sendall(frame)
        while True:
            data = self._socket.recv(CHUNK)
            if not data:
                raise ConnectionResetError("the server hung up")
            answer = dict(self._conversation.hear(data)).get(request_id)
            if answer is not None:
                return answer
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
