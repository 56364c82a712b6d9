"""What a query worker counts.

Rules of this file:
1. Every request is counted once, when its answer is known: under its op and its outcome. What cannot be read as one of our
   requests, and can still be answered, has the op `unknown`.
2. Counting costs less than a microsecond a request, and nothing that a client sends adds a series.
"""

from typing import Final, get_args

from streammf.counters.block import OWN, SECONDS, Block, Family
from streammf.serving.messages import OPS, AnyRequest

#: `ok`, and the codes of errors (protocol.md).
OUTCOMES: Final = ("ok", "bad_request", "unknown_op", "no_model", "behind", "overloaded", "internal")
UNKNOWN: Final = "unknown"
#: Why a connection was ended by this side: its client broke the protocol, was too slow to send or to read, or was too many.
FAULTS: Final = ("bad_frame", "timeout", "unread", "overloaded")

FAMILIES: Final = (
    *OWN,
    Family("queries_total", "counter", "Requests, by what became of them.", {"op": (*OPS, UNKNOWN), "outcome": OUTCOMES}),
    Family(
        "query_seconds",
        "histogram",
        "From a request's arrival until its answer is written, of those that were answered, waiting for a position included.",
        {"op": OPS},
        SECONDS,
    ),
    Family("connections", "gauge", "Open connections."),
    Family("connection_faults_total", "counter", "Connections that the server ended.", {"reason": FAULTS}),
)


class WorkerCounters:
    """The numbers of one worker, in a block of FAMILIES."""

    def __init__(self, block: Block) -> None:
        self.heartbeat = block.gauge("heartbeat")
        self.connections = block.gauge("connections")
        self._answered = {
            kind: (block.counter("queries_total", op, "ok"), block.histogram("query_seconds", op))
            for kind, op in zip(get_args(AnyRequest), OPS, strict=True)
        }
        self._refused = {
            (kind, code): block.counter("queries_total", op, code)
            for kind, op in ((None, UNKNOWN), *zip(get_args(AnyRequest), OPS, strict=True))
            for code in OUTCOMES
        }
        self._faults = {reason: block.counter("connection_faults_total", reason) for reason in FAULTS}

    def answered(self, request: AnyRequest, seconds: float) -> None:
        """A request has its answer, after so long."""
        counter, histogram = self._answered[type(request)]
        counter.add()
        histogram.observe(seconds)

    def refused(self, request: AnyRequest | None, code: str) -> None:
        """A request has an error for an answer; None: it could not be read."""
        self._refused[None if request is None else type(request), code].add()

    def fault(self, reason: str) -> None:
        """A connection was ended."""
        self._faults[reason].add()
