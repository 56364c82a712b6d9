"""Whether this part of StreamMF does its work, and if not, why, in words.

Rules of this file:
1. Pure functions of what was seen: no clock, no file, no question to anybody.
2. A reason names what is wrong, not what to restart: that is the supervisor's, or the orchestrator's.
3. A query worker is ready as long as it has a model to answer from; that the model no longer grows is said, and is no
   reason to send queries elsewhere.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from streammf.counters.block import Block
from streammf.state.header import Header
from streammf.trainer.note import Note

TRAINER: Final = "trainer"
WORKER: Final = "worker"
#: Seconds; who gave no sign of life for so long is not there. Workers give ten a second, trainers one a batch.
ABSENT: Final = 5.0
#: Seconds that events may wait to be durable beyond two commits' time.
COMMIT_LATE: Final = 30.0


class Sight(NamedTuple):
    """What a look at slots and live memory found."""

    now: float
    """Wall clock, s since the epoch."""
    header: Header | None
    slots: Mapping[str, Block]
    """Slot's name → block."""
    note: Note
    """The trainer's."""


class Limits(NamedTuple):
    """From when on something counts as wrong, s."""

    stale: float
    """Without word from the trainer."""
    commit: float
    """Between two commits, as configured."""


def role(slot: str) -> str:
    """`trainer` or `worker`."""
    return slot.partition("-")[0]


def present(sight: Sight, slot: str) -> bool:
    """Whether the process of a slot has given a sign of life lately."""
    return sight.now - sight.slots[slot].value("heartbeat") < ABSENT


def commit_age(sight: Sight) -> float:
    """Seconds since the last commit; 0 where everything that was applied is durable."""
    header, since = sight.header, sight.note.since
    if header is None or header.events <= header.committed_events:
        return 0.0
    return max(sight.now - max(header.committed_at, since), 0.0)


def reasons(sight: Sight, roles: Collection[str], limits: Limits) -> list[str]:
    """Why the processes of these roles are not ready; none: they are."""
    found = ["there is no model yet"] if sight.header is None else []
    if TRAINER in roles and not sight.note.finished:
        found += _of_the_trainer(sight, limits)
    if WORKER in roles and not any(role(slot) == WORKER and present(sight, slot) for slot in sight.slots):
        found.append("no query worker is running")
    return found


def remarks(sight: Sight, limits: Limits) -> list[str]:
    """What those who only answer queries should know, and is not their fault."""
    return [] if sight.note.finished else _of_the_trainer(sight, limits)


def _of_the_trainer(sight: Sight, limits: Limits) -> list[str]:
    header, note = sight.header, sight.note
    found = []
    if note.doing:
        found.append(note.doing)
    if note.trouble:
        found.append(f"the log cannot be reached: {note.trouble}")
    if header is None:
        return found
    if (silent := sight.now - header.published_at) > limits.stale:
        found.append(f"the trainer has not been heard of for {silent:.0f} s")
    if (age := commit_age(sight)) > COMMIT_LATE + 2 * limits.commit:
        late = header.events - header.committed_events
        found.append(f"{late:,} events wait to become durable; the last commit was {age:.0f} s ago")
    return found
