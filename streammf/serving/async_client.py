"""The client that awaits; see client.py, whose rules hold here too."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from streammf.errors import NoModelError, StreamMFError
from streammf.serving import conversation
from streammf.serving.conversation import AtLeast, Call, Conversation
from streammf.serving.results import Health, Info, Prediction, Ranking

T = TypeVar("T")


class Line(asyncio.Protocol):
    """One connection of an AsyncClient: futures by request id."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.broken: Exception | None = None
        self._conversation = Conversation()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for request_id, answer in self._conversation.hear(data):
                future = self._asked.pop(request_id, None)
                if future is not None and not future.done():  # done: its caller has given up
                    future.set_result(answer)
        except (StreamMFError, ConnectionError) as error:
            self._break(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(exc if isinstance(exc, ConnectionError) else ConnectionResetError("the server hung up"))

    async def exchange(self, call: Call[Any]) -> dict[str, Any]:
        """Send, and await the answer. Raises ConnectionError when the line breaks before it."""
        if self.broken or self.transport is None:
            raise self.broken or ConnectionResetError("not connected")
        request_id, frame = self._conversation.ask(call)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[request_id] = future
        self.transport.write(frame)
        try:
            return await future
        finally:
            self._asked.pop(request_id, None)

    def hang_up(self) -> None:
        self._break(ConnectionResetError("the client was closed"))

    def _break(self, error: Exception) -> None:
        self.broken = self.broken or error
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(self.broken)
        if self.transport is not None:
            self.transport.close()


class AsyncClient:
    """Client for asyncio: any number of requests at a time, pipelined on one connection. Belongs to one event loop."""

    def __init__(self, address: str | Sequence[str] = conversation.ADDRESS, timeout: float = 5.0) -> None:
        self._addresses = conversation.addresses(address)
        self._timeout = timeout
        self._at = 0
        self._line: Line | None = None
        self._turn = asyncio.Lock()

    async def recommend(
        self,
        user: str | None = None,
        *,
        items: Sequence[str] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        at_least: AtLeast | None = None,
        wait: float | None = None,
    ) -> Ranking:
        """See Client.recommend."""
        return await self._ask(conversation.recommend(user, items, k, exclude_seen).after(at_least, wait))

    async def similar_items(self, item: str, k: int = 10) -> Ranking:
        """Items like an item."""
        return await self._ask(conversation.similar_items(item, k))

    async def popular(self, k: int = 10) -> Ranking:
        """Items that most people like now."""
        return await self._ask(conversation.popular(k))

    async def predict(self, user: str, item: str, *, at_least: AtLeast | None = None, wait: float | None = None) -> Prediction:
        """What a user thinks of an item."""
        return await self._ask(conversation.predict(user, item).after(at_least, wait))

    async def health(self) -> Health:
        """How the server is."""
        return await self._ask(conversation.HEALTH)

    async def info(self) -> Info:
        """What the server has learned."""
        return await self._ask(conversation.INFO)

    async def close(self) -> None:
        """Hang up; requests under way fail. The next request connects again."""
        if self._line is not None:
            self._line.hang_up()
            self._line = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, call: Call[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout + call.wait):
                answer = await self._again(call)
        except TimeoutError:
            where = conversation.named(self._addresses[self._at])
            if self._line is not None:  # a server that hangs: what else waits for it asks another
                self._line.hang_up()
            raise NoModelError(f"no answer from {where} within {self._timeout + call.wait:g} s") from None
        except ConnectionError as error:
            raise conversation.broken(self._addresses[self._at], error) from error
        return conversation.read(call, answer)

    async def _again(self, call: Call[Any]) -> dict[str, Any]:
        for pause in conversation.PAUSES:
            try:
                return await (await self._connected()).exchange(call)
            except ConnectionError:
                await asyncio.sleep(pause)
        return await (await self._connected()).exchange(call)

    async def _connected(self) -> Line:
        async with self._turn:  # many requests may find the line broken; the first of them connects
            if self._line is not None and self._line.broken is None:
                return self._line
            if self._line is not None:
                self._at = (self._at + 1) % len(self._addresses)
            refused: list[tuple[conversation.Address, OSError]] = []
            loop = asyncio.get_running_loop()
            for turn in range(len(self._addresses)):
                at = (self._at + turn) % len(self._addresses)
                address = self._addresses[at]
                try:
                    async with asyncio.timeout(self._timeout / (len(self._addresses) - turn)):
                        _, self._line = await loop.create_connection(Line, *address)
                except OSError as error:  # TimeoutError is one
                    refused.append((address, error))
                    continue
                self._at = at
                return self._line
        raise conversation.nobody(refused)
