"""Where the blend lays out what it knows of one person: made once a learner or an answer, because kernels allocate nothing.

Rules of this file:
1. Candidates are the items that neighbours or peers speak for, or that somebody put here; all others read 0. They are
   found by a hash of the row, so the room does not depend on how many items there are.
2. A desk is cleared by going through its candidates, never through its size.
"""

from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner
from streammf.learning.room import spaced
from streammf.learning.tables import FEATURES, Array, Dimensions

#: Choices that neighbours are read for.
LONG: Final = 16
#: Choices whose users are asked.
PEER_PAST: Final = 8
#: People who are asked what they took, choices of each, and places of the hash that finds them.
MOST_PEERS: Final = 64
PEER_CHOICES: Final = 16
PEER_SLOTS: Final = 256
#: Items that one step of the blend compares: the event's, and at most so many drawn against it.
HARD: Final = 12
POPULAR: Final = 6
NEWEST: Final = 4
UNIFORM: Final = 4
DRAWN: Final = HARD + POPULAR + NEWEST + UNIFORM + 1
#: Readings of a candidate.
NEAR, FAR, NEXT, COSINE, PEERS = range(5)
READINGS: Final = 5


class Desk(NamedTuple):
    """What is known of one person, for the time of one step."""

    past: Array  # int32 (H,): the person's last items, the newest first
    z: Array  # float32 (k,): the person's vector of the gradient learner
    solution: Array  # float32 (k,): the person's vector of least squares
    slots: Array  # int32 (power of two,): the hash: a candidate's number, or -1
    row: Array  # int32 (C,): the candidates' item rows
    reading: Array  # float32 (C, READINGS)
    used: Array  # int64 (1,): how many candidates there are
    scale: Array  # float32 (1,): 1 / what all peers said together
    peer_slots: Array  # int32 (PEER_SLOTS,): the hash: a peer's number, or -1
    peer: Array  # int32 (MOST_PEERS,): user rows
    likeness: Array  # float32 (MOST_PEERS,)
    weight: Array  # float64 (FEATURES,): what each feature weighs for this person, now
    feature: Array  # float32 (DRAWN, FEATURES)
    drawn: Array  # int32 (DRAWN,)
    score: Array  # float64 (DRAWN,)
    slope: Array  # float64 (FEATURES,): of one event's log-loss, and then the step
    triangle: Array  # float64 (FEATURES, FEATURES): see newton.py


DESK = tuple_type(
    [
        array_type("i4", 1), array_type("f4", 1), array_type("f4", 1), array_type("i4", 1), array_type("i4", 1),
        array_type("f4", 2), array_type("i8", 1), array_type("f4", 1), array_type("i4", 1), array_type("i4", 1),
        array_type("f4", 1), array_type("f8", 1), array_type("f4", 2), array_type("i4", 1), array_type("f8", 1),
        array_type("f8", 1), array_type("f8", 2),
    ],
    Desk,
)  # fmt: skip


def desk(dimensions: Dimensions, more: int = 0) -> Desk:
    """Room for a model of these dimensions and `more` candidates than neighbours and peers bring."""
    most = LONG * dimensions.neighbours + MOST_PEERS * PEER_CHOICES + more
    k = dimensions.factors
    return Desk(
        past=spaced(dimensions.history, "i4"),
        z=spaced(k, "f4"),
        solution=spaced(k, "f4"),
        slots=spaced(1 << (2 * most).bit_length(), "i4", -1),
        row=spaced(most, "i4"),
        reading=spaced((most, READINGS), "f4"),
        used=spaced(1, "i8"),
        scale=spaced(1, "f4"),
        peer_slots=spaced(PEER_SLOTS, "i4", -1),
        peer=spaced(MOST_PEERS, "i4"),
        likeness=spaced(MOST_PEERS, "f4"),
        weight=spaced(FEATURES, "f8"),
        feature=spaced((DRAWN, FEATURES), "f4"),
        drawn=spaced(DRAWN, "i4"),
        score=spaced(DRAWN, "f8"),
        slope=spaced(FEATURES, "f8"),
        triangle=spaced((FEATURES, FEATURES), "f8"),
    )


@inner
def slot_of(slots: Array, rows: Array, row: int) -> int:
    """Where the hash holds `row`, or the free slot in which it would stand (linear probing)."""
    most = len(slots) - 1
    slot = int((np.int64(row) * 2654435761) >> 15) & most
    while slots[slot] >= 0 and rows[slots[slot]] != row:
        slot = (slot + 1) & most
    return slot


@inner
def candidate(desk: Desk, row: int) -> int:
    """The number of a candidate, -1 where the row is none."""
    return desk.slots[slot_of(desk.slots, desk.row, row)]


@inner
def put_candidate(desk: Desk, row: int) -> int:
    """The number of a candidate, which it becomes if it is none."""
    slot = slot_of(desk.slots, desk.row, row)
    number = desk.slots[slot]
    if number < 0:
        number = desk.used[0]
        desk.used[0] += 1
        desk.slots[slot] = number
        desk.row[number] = row
        for r in range(READINGS):
            desk.reading[number, r] = 0.0
    return number


@inner
def clear(desk: Desk) -> None:
    """Put every candidate away. They leave the hash the last first, so that no probe breaks off before it finds its own."""
    for back in range(desk.used[0]):
        number = desk.used[0] - 1 - back
        desk.slots[slot_of(desk.slots, desk.row, desk.row[number])] = -1
    desk.used[0] = 0
