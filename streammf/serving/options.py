"""The options of the query service."""

from typing import Annotated

import msgspec

from streammf.serving.protocol import MOST_REQUEST_BYTES, PORT

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class ServingOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How queries are answered, and what one client may cost the others."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    """Address to listen on. Other than loopback only with allow_remote."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = PORT
    """TCP port, shared by all workers; 0: any free one (for one worker)."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    """Processes that answer queries."""
    allow_remote: bool = False
    """Listen on an address that other machines reach, although nobody is authenticated and nothing encrypted."""
    most_frame_bytes: Annotated[int, msgspec.Meta(ge=1024, le=64 << 20)] = MOST_REQUEST_BYTES
    """Longest request, bytes."""
    most_k: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    """Longest list that a request may ask for."""
    most_connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Open connections of one worker."""
    most_unsent_bytes: Annotated[int, msgspec.Meta(ge=4096, le=64 << 20)] = 256 << 10
    """Answers kept for a client that does not read; beyond it the client is no longer read from."""
    frame_seconds: Seconds = 10.0
    """From the first to the last byte of a request."""
    unread_seconds: Seconds = 10.0
    """After this long without reading its answers a client is cut off."""
    drain_seconds: Seconds = 5.0
    """At shutdown, time for requests under way (those that wait for a position included)."""
    stale_seconds: Seconds = 10.0
    """After this long without word from the trainer, health says `stale`."""
