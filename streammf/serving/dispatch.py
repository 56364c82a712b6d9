"""Frames of requests to frames of answers: now, or, for a request that waits for a position, later.

Rules of this file:
1. Every request is answered once: with what `respond` returns, or with an error. An error of ours is logged and
   answered `internal`: it ends neither the connection nor the worker.
2. Who waits costs little: a bounded number, asked for again every few milliseconds and in a fifth of the time at most,
   never longer than the request allows.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streammf.errors import NoModelError, RequestError
from streammf.serving.messages import Answer, AnyQuery, AnyRequest, Health, Info, Misfit, decode, encode, refusal

log: Final = logging.getLogger(__name__)

#: A position becomes visible within milliseconds; asking costs microseconds.
POLL_SECONDS: Final = 0.002
#: Requests of one worker that may wait at a time.
MOST_WAITING: Final = 1000

Respond = Callable[[AnyRequest], Answer | None]
"""Answers a request; None: the position that it asks for is not reached. Raises RequestError and NoModelError."""


@dataclass(slots=True)
class Waiting:
    """A request that waits, and where its answer goes."""

    request: AnyQuery
    deadline: float
    deliver: Callable[[bytes], None]


class Dispatcher:
    """Answers the requests of all connections of one worker. Belongs to one event loop."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._waiting: list[Waiting] = []

    def answer(self, body: bytes, deliver: Callable[[bytes], None]) -> bytes | None:
        """The frame of the answer; None: `deliver` will be called with it. Raises ProtocolError."""
        try:
            request = decode(body)
        except Misfit as misfit:
            return refusal(misfit.id, misfit.code, str(misfit))
        frame = self._frame(request)
        if frame is None and not isinstance(request, Health | Info):
            return self._wait(request, deliver)
        return frame

    def _frame(self, request: AnyRequest) -> bytes | None:
        try:
            answer = self._respond(request)
            return None if answer is None else encode(answer)
        except RequestError as error:
            return refusal(request.id, error.code, str(error))
        except NoModelError as error:
            return refusal(request.id, "no_model", str(error))
        except Exception:
            log.exception("a request could not be answered: %r", request)
            return refusal(request.id, "internal", "the server failed to answer; its log says why")

    def _wait(self, request: AnyQuery, deliver: Callable[[bytes], None]) -> bytes | None:
        if request.wait == 0:
            return behind(request)
        if len(self._waiting) >= MOST_WAITING:
            return refusal(request.id, "overloaded", f"{MOST_WAITING} requests wait already")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(POLL_SECONDS, self._poll)
        self._waiting.append(Waiting(request, loop.time() + request.wait, deliver))
        return None

    def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        asked, self._waiting = self._waiting, []
        for waiting in asked:
            frame = self._frame(waiting.request)
            if frame is None and now >= waiting.deadline:
                frame = behind(waiting.request)
            if frame is None:
                self._waiting.append(waiting)
            else:
                waiting.deliver(frame)
        if self._waiting:
            loop.call_later(max(POLL_SECONDS, 4 * (loop.time() - now)), self._poll)


def behind(request: AnyQuery) -> bytes:
    """The answer to a request whose position was not reached."""
    return refusal(request.id, "behind", f"the model had not learned up to `at_least` within {request.wait:g} s")
