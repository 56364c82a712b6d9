"""Sends what was set aside on to where dead letters go: after the commit, beside learning, at least once.

Rules of this file:
1. The quarantine is the outbox: a record is sent once it is durable there, in the order of the numbers. How far that went is
   durable in the store after each batch, so a crash repeats one batch at most, and loses none.
2. What cannot be sent waits, and so does what comes after it. Learning never waits; who watches sees the number rise.
3. What was dropped, or had to make room for newer ones, before it was sent is not sent; it is counted.
"""

import logging
import threading
from itertools import islice
from typing import Final

from streammf.counters.block import Block
from streammf.errors import SourceError, StreamMFError
from streammf.events.dead_letters import Outlet
from streammf.state.store import Store

log: Final = logging.getLogger(__name__)

#: Records sent at once: what a crash may repeat.
BATCH: Final = 100
#: Seconds between two looks at what was set aside. Doubled with each failure in a row, up to the longest.
PAUSE: Final = 0.5
LONGEST_DELAY: Final = 30.0
#: Seconds that `close` waits for what is under way.
CLOSE_SECONDS: Final = 15.0


class DeadLetters(threading.Thread):
    """Sends until it is closed. `block`: of `counting.families`."""

    def __init__(self, store: Store, outlet: Outlet, block: Block) -> None:
        super().__init__(name="dead letters", daemon=True)
        self._store = store
        self._outlet = outlet
        self._sent = block.counter("dead_letters_total", "sent")
        self._gone = block.counter("dead_letters_total", "gone")
        self._failed = block.counter("dead_letters_total", "failed")
        self._waiting = block.gauge("dead_letters_waiting")
        self._stopped = threading.Event()

    def run(self) -> None:
        """The thread's own work: not to be called."""
        delay = PAUSE
        while not self._stopped.wait(delay):
            try:
                self.send_all()
                delay = PAUSE
            except SourceError as error:
                delay = min(2 * delay, LONGEST_DELAY)
                self._failed.add()
                log.warning("dead letters wait: %s", error)
            except StreamMFError:
                return  # the store is closed, or broken: whoever commits to it says so

    def send_all(self) -> None:
        """Send everything that waits. Raises SourceError; what was sent before stays sent."""
        while self._send_some():
            pass

    def close(self) -> None:
        """Send what the last commit set aside, if that can be done at once, and let go. Idempotent."""
        if not self._stopped.is_set():
            self._stopped.set()
            if self.is_alive():
                self.join(CLOSE_SECONDS)
            if not self.is_alive():
                try:
                    self.send_all()
                except SourceError as error:
                    log.warning("dead letters wait for the next start: %s", error)
                self._outlet.close()

    def _send_some(self) -> bool:
        """Send a batch; whether there may be more."""
        with self._store.read() as reading:
            meta, first = reading.meta(), reading.sent()
            records = list(islice(reading.quarantined(first), BATCH))
        if meta is None:
            return False
        self._waiting.set(meta.rejected - first)
        if first >= meta.rejected:
            return False
        following = records[-1][0] + 1 if records else meta.rejected
        if records:
            self._outlet.send(records)
        self._store.sent(following)
        self._sent.add(len(records))
        self._gone.add(following - first - len(records))
        self._waiting.set(meta.rejected - following)
        return True
