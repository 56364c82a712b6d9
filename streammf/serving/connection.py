"""One client's connection, as the server sees it.

Rules of this file:
1. What one client costs the others is bounded: its requests are answered in turns, a few at a time; what it leaves
   unread stops it from being read; a frame that it begins must end; what it does wrong ends its own connection only.
2. A connection that is ended is told why in one error answer and has a second to read it: closing a socket that has
   unread bytes sends a reset, and the reason could be lost.
3. Deadlines are looked at by the server's sweep, not by a timer for each connection.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from streammf.errors import ProtocolError
from streammf.serving.dispatch import MOST_OF_ONE, Dispatcher
from streammf.serving.messages import AnyRequest, refusal
from streammf.serving.options import ServingOptions
from streammf.serving.protocol import Framer

#: How long a client that is being hung up on may take to read the reason.
LINGER_SECONDS: Final = 1.0


class Connection(asyncio.Protocol):
    """Reads requests, writes answers, and ends. `members`: the open connections of the server, this one among them."""

    def __init__(self, dispatcher: Dispatcher, options: ServingOptions, members: "set[Connection]") -> None:
        self._dispatcher = dispatcher
        self._options = options
        self._members = members
        self._framer = Framer(options.most_frame_bytes)
        self._transport: asyncio.Transport
        self._waiting = 0
        """Requests whose answers come later."""
        self._asked = False
        """A turn's requests are being answered."""
        self._fault: str | None = None
        """What the client did wrong, to be said once its turn is answered."""
        self._turn_due = False
        self._last = False
        """Answer what has come, then close."""
        self._silent = False
        """The client sends no more."""
        self._begun: float | None = None
        """When the frame that is under way began."""
        self._blocked: float | None = None
        """When the client had left more unread than is kept."""
        self._ended: float | None = None
        """When it was told to go."""

    # The events of asyncio.Protocol ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected. (asyncio has set TCP_NODELAY.)"""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=self._options.most_unsent_bytes)
        crowd = len(self._members)
        self._members.add(self)
        if crowd >= 2 * self._options.most_connections:  # those that linger count too
            self._dispatcher.counters.fault("overloaded")
            transport.abort()
        elif crowd >= self._options.most_connections:
            self._end("overloaded", f"this worker has its {self._options.most_connections} connections already")

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._ended is not None:
            return
        self._framer.feed(data)
        if self._asked:
            self._transport.pause_reading()  # until it has its answers
        else:
            self._turn()

    def eof_received(self) -> bool:
        """The client sends no more; it may still read."""
        if self._ended is not None:
            return False
        self._last = self._silent = True
        self._settle()
        return True

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self._blocked = time.monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._blocked = None
        self._begun = None
        self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._ended = self._ended or time.monotonic()
        self._members.discard(self)

    # What the server asks -------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """End what has taken too long."""
        options = self._options
        if self._ended is not None:
            if now - self._ended > LINGER_SECONDS:
                self._transport.abort()
        elif self._blocked is not None:
            if now - self._blocked > options.unread_seconds:
                self._dispatcher.counters.fault("unread")
                self._transport.abort()  # it would not read a reason either
        elif self._begun is not None and now - self._begun > options.frame_seconds:
            self._end("timeout", f"a frame was begun and not completed within {options.frame_seconds:g} s")

    def drain(self) -> None:
        """Answer what has come, then close."""
        self._last = True
        self._settle()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # Answering ------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._turn_due = False
        if self._ended is not None or self._blocked is not None or self._asked:
            return
        requests: list[AnyRequest] = []
        taken = 0
        try:
            while taken < MOST_OF_ONE and (body := self._framer.next()) is not None:
                taken += 1
                request = self._dispatcher.read(body)
                if isinstance(request, bytes):
                    self._transport.write(request)
                else:
                    requests.append(request)
        except ProtocolError as error:
            self._fault = str(error)
        if taken:
            self._begun = None
        if requests:
            self._asked = True
            self._dispatcher.ask(requests, self._answered, self._deliver)
        self._settle()

    def _answered(self, frames: Sequence[bytes], waiting: int) -> None:
        """A turn's requests are answered, but for those that wait."""
        self._asked = False
        self._waiting += waiting
        if self._ended is None:
            self._transport.write(b"".join(frames))
            self._settle()

    def _settle(self) -> None:
        """After a turn: another one, more bytes, or the end."""
        if self._ended is not None or self._asked:
            return
        if self._fault is not None:
            self._end("bad_frame", self._fault)
        elif self._framer.due:
            self._transport.pause_reading()
            self._schedule()
        elif self._last and not self._framer.begun:
            self._finish()
        elif self._silent:
            self._end("bad_frame", "the connection ended inside a frame")
        else:
            if self._begun is None and self._framer.begun:
                self._begun = time.monotonic()
            if self._blocked is None:
                self._transport.resume_reading()

    def _schedule(self) -> None:
        if not self._turn_due and self._blocked is None:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _deliver(self, frame: bytes) -> None:
        self._waiting -= 1
        if self._ended is None:
            self._transport.write(frame)
            self._settle()

    def _finish(self) -> None:
        if not self._waiting and self._blocked is None:
            self._ended = time.monotonic()
            self._transport.close()  # after what is still unsent

    def _end(self, code: str, reason: str) -> None:
        """Say why, and hang up. What waits for an answer gets none."""
        self._dispatcher.counters.fault(code)
        self._ended = time.monotonic()
        self._transport.write(refusal(None, code, reason))
        if self._silent:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()  # and discard, until the client has hung up too
