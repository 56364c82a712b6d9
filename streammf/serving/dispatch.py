"""Requests to frames of answers: soon, or, for a request that waits for a position, later.

Rules of this file:
1. Every request is answered once: with what `respond` returns, or with an error. An error of ours is logged and
   answered `internal`: it ends neither the connection nor the worker, and concerns no other request.
2. What the connections have sent when the event loop comes round is answered together, a bounded number at a time: one scan
   of the items serves them all. Nobody waits for company.
3. Who waits costs little: a bounded number, asked for again every few milliseconds and in a fifth of the time at most,
   never longer than the request allows.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from streammf.errors import NoModelError, RequestError
from streammf.serving.counting import WorkerCounters
from streammf.serving.messages import Answer, AnyQuery, AnyRequest, Health, Info, Misfit, decode, encode, refusal

log: Final = logging.getLogger(__name__)

#: A position becomes visible within milliseconds; asking costs microseconds.
POLL_SECONDS: Final = 0.002
#: Requests of one worker that may wait at a time.
MOST_WAITING: Final = 1000

#: Requests answered at once, and of one connection. More would share little more, and all wait for the last one's answer.
MOST_AT_ONCE: Final = 16
MOST_OF_ONE: Final = 8

Outcome = Answer | RequestError | NoModelError | None
"""What becomes of a request; None: the position that it asks for is not reached."""
Respond = Callable[[Sequence[AnyRequest]], Sequence[Outcome]]
"""Answers requests together. Should it raise, each of them is asked by itself."""


@dataclass(slots=True)
class Turn:
    """What one connection asks at once, at most MOST_OF_ONE requests, and where the answers go."""

    requests: Sequence[AnyRequest]
    answered: Callable[[Sequence[bytes], int], None]
    """Called once: the frames of the answers, and how many answers come later."""
    deliver: Callable[[bytes], None]
    """Called with each of those."""
    begun: float
    """Performance counter, s."""


@dataclass(slots=True)
class Waiting:
    """A request that waits, and where its answer goes."""

    request: AnyQuery
    begun: float
    """Performance counter, s."""
    deadline: float
    """Clock of the event loop, s."""
    deliver: Callable[[bytes], None]


class Dispatcher:
    """Answers the requests of all connections of one worker. Belongs to one event loop."""

    def __init__(self, respond: Respond, counters: WorkerCounters) -> None:
        self.counters = counters
        self._respond = respond
        self._turns: deque[Turn] = deque()
        self._waiting: list[Waiting] = []

    def read(self, body: bytes) -> AnyRequest | bytes:
        """The request of a frame, or the frame of its refusal. Raises ProtocolError."""
        try:
            return decode(body)
        except Misfit as misfit:
            self.counters.refused(None, misfit.code)
            return refusal(misfit.id, misfit.code, str(misfit))

    def ask(
        self,
        requests: Sequence[AnyRequest],
        answered: Callable[[Sequence[bytes], int], None],
        deliver: Callable[[bytes], None],
    ) -> None:
        """Answer these once the event loop has taken in what else has come; see Turn."""
        if not self._turns:
            asyncio.get_running_loop().call_soon(self._answer)
        self._turns.append(Turn(requests, answered, deliver, time.perf_counter()))

    def _answer(self) -> None:
        turns = [self._turns.popleft()]
        number = len(turns[0].requests)
        while self._turns and number + len(self._turns[0].requests) <= MOST_AT_ONCE:
            turns.append(self._turns.popleft())
            number += len(turns[-1].requests)
        if self._turns:
            asyncio.get_running_loop().call_soon(self._answer)
        frames = iter(self._frames([(request, turn.begun) for turn in turns for request in turn.requests]))
        for turn in turns:
            own = [
                self._wait(request, turn) if frame is None and not isinstance(request, Health | Info) else frame
                for request, frame in zip(turn.requests, islice(frames, len(turn.requests)), strict=True)
            ]
            done = [frame for frame in own if frame is not None]
            turn.answered(done, len(own) - len(done))

    def _frames(self, asked: Sequence[tuple[AnyRequest, float]]) -> list[bytes | None]:
        """The answer to each (request, when it came)."""
        requests = [request for request, _ in asked]
        try:
            outcomes = self._respond(requests)
        except Exception:  # noqa: BLE001 - whose request it was is found out, and logged, one by one
            outcomes = [self._alone(request) for request in requests]
        return [self._frame(request, begun, outcome) for (request, begun), outcome in zip(asked, outcomes, strict=True)]

    def _alone(self, request: AnyRequest) -> Outcome:
        try:
            return self._respond([request])[0]
        except Exception:
            log.exception("a request could not be answered: %r", request)
            return RequestError("internal", "the server failed to answer; its log says why")

    def _frame(self, request: AnyRequest, begun: float, outcome: Outcome) -> bytes | None:
        if outcome is None:
            return None
        if isinstance(outcome, RequestError):
            return self._refused(request, outcome.code, str(outcome))
        if isinstance(outcome, NoModelError):
            return self._refused(request, "no_model", str(outcome))
        frame = encode(outcome)
        self.counters.answered(request, time.perf_counter() - begun)
        return frame

    def _wait(self, request: AnyQuery, turn: Turn) -> bytes | None:
        if request.wait == 0:
            return self._behind(request)
        if len(self._waiting) >= MOST_WAITING:
            return self._refused(request, "overloaded", f"{MOST_WAITING} requests wait already")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(POLL_SECONDS, self._poll)
        self._waiting.append(Waiting(request, turn.begun, loop.time() + request.wait, turn.deliver))
        return None

    def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        asked, self._waiting = self._waiting, []
        frames = self._frames([(waiting.request, waiting.begun) for waiting in asked])
        for waiting, frame in zip(asked, frames, strict=True):
            if frame is not None:
                waiting.deliver(frame)
            elif now >= waiting.deadline:
                waiting.deliver(self._behind(waiting.request))
            else:
                self._waiting.append(waiting)
        if self._waiting:
            loop.call_later(max(POLL_SECONDS, 4 * (loop.time() - now)), self._poll)

    def _behind(self, request: AnyQuery) -> bytes:
        """The answer to a request whose position was not reached."""
        return self._refused(request, "behind", f"the model had not learned up to `at_least` within {request.wait:g} s")

    def _refused(self, request: AnyRequest, code: str, message: str) -> bytes:
        self.counters.refused(request, code)
        return refusal(request.id, code, message)
