"""What neighbours and peers say of a person's next choice, laid out on the desk.

Rules of this file:
1. Neighbours are read for the last choices four ways: `near` and its cosine for the last eight, `far` for the last sixteen,
   `next` for the last one. Each choice gives the shares of its list, so a long list weighs no more than a short one.
2. Peers are the users met in the rings of the person's last choices; each lends its own last choices, by the square of how
   much it has in common with the person.
"""

from typing import Final

import numpy as np

from streammf.learning.ahead import fetch
from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.desk import (
    COSINE,
    FAR,
    LONG,
    MOST_PEERS,
    NEAR,
    NEXT,
    PEER_CHOICES,
    PEER_PAST,
    PEERS,
    Desk,
    put_candidate,
    slot_of,
)
from streammf.learning.history import before, newest
from streammf.learning.neighbours import NEAR_DECAY, growth
from streammf.learning.rates import OF_NEIGHBOURS, OF_PEERS, Rates
from streammf.learning.tables import Audience, Items, Neighbours, State, Users

#: Choices that `near` is read for, and what each of `far` weighs relative to the one after it.
SHORT: Final = 8
FAR_DECAY: Final = 0.95
#: What each choice whose users are asked weighs relative to the one after it.
PEER_DECAY: Final = 0.85
#: Below, a list has faded away, and shares of it would leave float32.
LEAST_SUM: Final = 1e-20


@inner
def read_neighbours(neighbours: Neighbours, decay: Real, held: int, now: int, desk: Desk) -> None:
    """Lay out what the lists of desk.past[:held] say."""
    near_all: Real = 0.0
    far_all: Real = 0.0
    near: Real = 1.0
    far: Real = 1.0
    for back in range(min(held, LONG)):
        far_all += far
        near_all += near if back < SHORT else 0.0
        near *= NEAR_DECAY
        far *= FAR_DECAY
    near = 1.0
    far = 1.0
    for back in range(min(held, LONG)):
        row = desk.past[back]
        if neighbours.near_sum[row] > LEAST_SUM and neighbours.far_sum[row] > LEAST_SUM:
            short = near / near_all if back < SHORT else 0.0
            of_near = np.float32(short / neighbours.near_sum[row])
            of_far = np.float32(far / far_all / neighbours.far_sum[row])
            following = neighbours.next_sum[row]
            of_next = np.float32(1.0 / following) if back == 0 and following > LEAST_SUM else np.float32(0.0)
            grown = growth(neighbours, row, decay, now)
            of_cosine = np.float32(short / np.sqrt(neighbours.near_sum[row] * grown))
            for place in range(neighbours.item.shape[1]):
                item = neighbours.item[row, place]
                if item < 0:
                    break
                number = put_candidate(desk, item)
                weight = neighbours.near[row, place]
                desk.reading[number, NEAR] += of_near * weight
                desk.reading[number, FAR] += of_far * neighbours.far[row, place]
                desk.reading[number, NEXT] += of_next * neighbours.next[row, place]
                desk.reading[number, COSINE] += of_cosine * weight
        near *= NEAR_DECAY
        far *= FAR_DECAY


@inner
def meet_peers(audience: Audience, items: Items, held: int, user: int, desk: Desk) -> int:
    """Note who shares the last choices, and how much; returns how many they are."""
    used = 0
    rank: Real = 1.0
    for back in range(min(held, PEER_PAST)):
        row = desk.past[back]
        weight = np.float32(rank / np.log(items.taught[row] + 2.0))
        for place in range(min(audience.met[row], audience.user.shape[1])):
            peer = audience.user[row, place]
            if peer >= 0 and peer != user:
                slot = slot_of(desk.peer_slots, desk.peer, peer)
                if desk.peer_slots[slot] < 0 and used < MOST_PEERS:
                    desk.peer_slots[slot] = used
                    desk.peer[used] = peer
                    desk.likeness[used] = 0.0
                    used += 1
                if desk.peer_slots[slot] >= 0:
                    desk.likeness[desk.peer_slots[slot]] += weight
        rank *= PEER_DECAY
    for back in range(used):  # the last first: see desk.clear
        desk.peer_slots[slot_of(desk.peer_slots, desk.peer, desk.peer[used - 1 - back])] = -1
    return used


@inner
def read_peers(users: Users, audience: Audience, items: Items, held: int, user: int, desk: Desk) -> None:
    """Lay out what people of like choices took lately."""
    total = np.float32(0.0)
    size = users.history_item.shape[1]
    met = meet_peers(audience, items, held, user, desk)
    for number in range(met):
        fetch(users.history_item, desk.peer[number])
    for number in range(met):
        peer = desk.peer[number]
        likeness = desk.likeness[number]
        many = min(users.taught[peer], size)
        says = likeness * likeness / np.sqrt(np.float32(many + 2))
        many = min(many, PEER_CHOICES)
        place = newest(users.taught[peer], size)
        for _ in range(many):
            item = users.history_item[peer, place]
            if item >= 0:
                desk.reading[put_candidate(desk, item), PEERS] += says
            place = before(place, size)
        total += says * np.float32(many)
    desk.scale[0] = np.float32(1.0) / (total + np.float32(1e-9))


@inner
def read(state: State, rates: Rates, held: int, user: int, desk: Desk) -> None:
    """Lay out what neighbours and peers say of somebody whose last items are desk.past[:held]; nothing that is not weighed."""
    if rates.features & OF_NEIGHBOURS:
        read_neighbours(state.neighbours, rates.neighbour_decay, held, state.whole.clock[0], desk)
    if rates.features & OF_PEERS:
        read_peers(state.users, state.audience, state.items, held, user, desk)
