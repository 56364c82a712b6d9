"""What can be chosen about the trainer's loop. Apart from it, so that reading a configuration loads no kernel."""

from typing import Annotated

import msgspec


class TrainerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the loop runs."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 4_096
    """Most events learned between two publications. More: faster while behind; fewer: fresher answers meanwhile."""
    idle_seconds: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.2
    """How long one poll waits for a record before it looks whether to stop; no event waits for it."""
    commit_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    """Longest time between two commits while events arrive, s."""
    commit_events: Annotated[int, msgspec.Meta(ge=1)] = 200_000
    """Most events between two commits: what is learned again after a crash while behind."""
