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
    """Longest time from a commit to the beginning of the next while events arrive, s."""
    commit_events: Annotated[int, msgspec.Meta(ge=1)] = 200_000
    """Most events between two commits: what is learned again after a crash while behind."""
    brake_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.2
    """Learning stops when more than this share of 1,000 events in a row have vectors that ran away. 1: never."""
    same_id_events: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 0
    """An event whose `id` is among the last so many different ids is left out, as sent twice. 0: ids are not looked at."""
    convert_times: bool = False
    """Take a time in s, µs or ns, told by its size, for what it means. Otherwise its event is set aside, the unit named."""


class DeadLetterOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where records that were set aside are sent on to, whole and with the reason; they stay in the store as well."""

    topic: str = ""
    """Kafka topic of the source's cluster, with the headers of Kafka Connect's dead letter queues."""
    path: str = ""
    """A file: JSON, a line a record, as `quarantine list --json` prints them; `quarantine requeue --edited` reads it."""

    def __post_init__(self) -> None:
        if self.topic and self.path:
            raise ValueError("dead letters go to a topic or to a file: set one of dead_letters.topic and dead_letters.path")
