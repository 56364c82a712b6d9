"""The process that answers queries: the live memory mapped read-only, and a server.

Rules of this file:
1. A worker never writes, and never asks the store. It starts before the trainer, outlives it, and moves to the next
   generation between two requests.
2. SIGTERM and SIGINT drain it: what is under way is answered, and it ends with exit code 0.
3. Where the live memory was removed, it serves what it has mapped until a trainer has made another one, and counts there then.
"""

import asyncio
import gc
import logging
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from streammf.counters.slot import FOLDER, Slot, take_free
from streammf.errors import NoModelError
from streammf.learning import compiling
from streammf.serving import queries
from streammf.serving.counting import FAMILIES
from streammf.serving.dispatch import Outcome
from streammf.serving.messages import AnyRequest, Health, HealthAnswer
from streammf.serving.options import ServingOptions
from streammf.serving.server import Server
from streammf.state.generation import current
from streammf.state.live import LiveReader

log: Final = logging.getLogger(__name__)

#: Descriptors that a worker needs beside its connections.
SPARE_DESCRIPTORS: Final = 100
#: Seconds between two looks whether the live memory is still the one in which this worker counts.
LOOK: Final = 1.0


class Responder:
    """Answers requests from the live memory at `live_path`, whether or not there is one yet."""

    def __init__(self, live_path: Path, options: ServingOptions) -> None:
        self._reader = LiveReader(live_path)
        self._options = options

    def __call__(self, requests: Sequence[AnyRequest]) -> list[Outcome]:
        """All from one view. None: the position that a request asks for is not reached."""
        try:
            view = self._reader.view()
        except NoModelError as error:
            return [self._without_model(request, error) for request in requests]
        asked = [request for request in requests if not isinstance(request, Health)]
        answers = iter(queries.answer_all(view, asked, self._options.most_k))
        now, stale_seconds = time.time(), self._options.stale_seconds
        return [queries.health(view, r, now, stale_seconds) if isinstance(r, Health) else next(answers) for r in requests]

    def look(self) -> None:
        """Map what is published, though nobody asks: it may be removed before somebody does."""
        with suppress(NoModelError):
            self._reader.view()

    def _without_model(self, request: AnyRequest, error: NoModelError) -> Outcome:
        if isinstance(request, Health):
            return HealthAnswer(request.id, status="no_model", ready=False, reason=str(error))
        return error


def counting_slot(live_path: Path, number: int) -> Slot | None:
    """Where this worker counts: the slot of its number, or the first one behind it that no other process has.

    Where no slot can be written the worker serves all the same, and what it counts is its own secret.
    """
    try:
        return take_free(live_path / FOLDER, "worker", number, FAMILIES)
    except OSError as error:
        log.warning("nobody can read what this worker counts: %s cannot be written (%s)", live_path / FOLDER, error.strerror)
        return None


def run_worker(
    live_path: Path,
    options: ServingOptions,
    ready: Callable[[str, int], None] | None = None,
    slot: Slot | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, counting in `slot`. `ready(host, port)` is called once connections are accepted.

    Raises ConfigurationError where the address cannot be had or must not be.
    """
    compiling.ready("any")
    allow_descriptors(2 * options.most_connections + SPARE_DESCRIPTORS)
    gc.collect()
    gc.freeze()  # what was imported stays; a full collection would look at all of it, in the middle of a request
    responder = Responder(live_path, options)
    server = Server(responder, options, slot.block if slot else None)

    def look() -> None:
        responder.look()
        if slot is not None and moved(slot, live_path):
            server.count_in(slot.block)

    asyncio.run(serve(server, ready, look))


def moved(slot: Slot, live_path: Path) -> bool:
    """Where the live memory that `slot` stands in was removed, take one of that which there is now; whether that was so."""
    if not slot.removed or current(live_path) is None:
        return False
    try:
        slot.move(take_free(live_path / FOLDER, "worker", int(slot.name.partition("-")[2]), FAMILIES))
    except OSError:  # it is being removed again: there will be another look
        return False
    return True


async def serve(server: Server, ready: Callable[[str, int], None] | None, look: Callable[[], None]) -> None:
    """Listen, say so, `look` from time to time, and drain when told to stop."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    host, port = await server.start()
    log.info("answering queries on %s:%d", host, port)
    if ready is not None:
        ready(host, port)
    while not told.is_set():
        look()
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), LOOK)
    await server.drain()


def allow_descriptors(wanted: int) -> None:
    """Raise this process's own limit of open files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
