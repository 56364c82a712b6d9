"""What a trainer says of itself in words: beside its numbers, for who answers `/readyz` and `/metrics` in its place.

It stands in the note of the trainer's slot, so it is there before the model is, and while the log is away.
"""

from typing import Final

import msgspec

from streammf.counters.block import Block

#: Partitions that are named one by one, in sorted order; the others are one sum. So a large topic does not flood a monitor.
MOST_NAMED: Final = 64
#: Characters of a reason; librdkafka's own are shorter.
_LONGEST: Final = 1000


class End(msgspec.Struct, frozen=True, array_like=True):
    """Where a partition ends. Of several partitions in one: sums, and the clock that is farthest behind."""

    topic: str
    partition: int
    end: int
    """The next offset that will be written, open transactions included."""
    readable: int
    """Up to where it can be read."""
    clock: int
    """Largest event time applied from it, ms since the epoch; 0: none yet."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands."""

    doing: str = ""
    """What the trainer does instead of learning; empty while it learns."""
    trouble: str = ""
    """Why the log cannot be reached; empty where it can."""
    finished: bool = False
    """It has learned all of a log that cannot grow, and ended."""
    since: float = 0.0
    """Wall clock at which it began to learn, s since the epoch."""
    ends: list[End] = []
    """Of the named partitions."""
    others: End | None = None
    """Of all others together."""


def write(block: Block, note: Note) -> None:
    """Say it."""
    if len(note.doing) + len(note.trouble) > _LONGEST:
        note = msgspec.structs.replace(note, doing=note.doing[:_LONGEST], trouble=note.trouble[:_LONGEST])
    block.write_note(msgspec.json.encode(note))


def read(block: Block) -> Note:
    """What was said last; nothing, where that cannot be read."""
    try:
        return msgspec.json.decode(block.read_note(), type=Note)
    except msgspec.MsgspecError:
        return Note()
