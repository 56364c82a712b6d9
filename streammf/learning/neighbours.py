"""Which items are chosen around an item, by the same people: a bounded list an item, a few steps an event.

Rules of this file:
1. An event is noted in the lists of the items chosen before it, and they in its own: half as much in `near` (what comes
   after says less of what came before), as much in `far`, nothing in `next`. Between choices of one second both ways weigh
   alike: the order in which a basket is written down must teach nothing.
2. A full list gives the place of its least entry to a new one, which inherits half its weights: a newcomer that comes
   again overtakes, one that does not is replaced (Metwally, Agrawal, El Abbadi 2005, but for the half).
3. Time fades a list by letting what is new weigh more; what is read are shares of the list's sums, which do not see it.
   A row is brought back to scale before it leaves float32.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Mark, Real
from streammf.learning.compiling import inner
from streammf.learning.decay import MOST_GROWTH
from streammf.learning.marks import mark
from streammf.learning.tables import Array, Neighbours

#: Choices before an event that it is noted with.
WINDOW: Final = 8
#: What a choice weighs in `near` relative to the one after it.
NEAR_DECAY: Final = 0.8
#: What the way back weighs in `near`.
BACK: Final = 0.5
#: What either way weighs in `near` and `next` between choices of one second, of which nobody knows which came first.
TIED: Final = 0.75
TIED_NEXT: Final = 0.5
#: What `far` counts beside `near` when the least entry is sought.
FAR_SHARE: Final = 0.1
#: What a new entry keeps of the one that it replaces.
INHERITED: Final = 0.5


@inner
def growth(neighbours: Neighbours, row: int, decay: Real, now: int) -> Real:
    """What 1 that happens now weighs in a row."""
    age = now - neighbours.base[row]
    return np.exp(decay * age) if decay > 0.0 and age > 0 else 1.0


@inner
def rescale(neighbours: Neighbours, row: int, decay: Real, now: int) -> None:
    """Let a row's weights stand for themselves again, if it is time."""
    if neighbours.near_sum[row] == 0 and neighbours.far_sum[row] == 0:
        neighbours.base[row] = now
        return
    age = decay * (now - neighbours.base[row])
    if age <= MOST_GROWTH:
        return
    left = np.float32(np.exp(-age))
    for place in range(neighbours.item.shape[1]):
        neighbours.near[row, place] *= left
        neighbours.far[row, place] *= left
        neighbours.next[row, place] *= left
    neighbours.near_sum[row] *= left
    neighbours.far_sum[row] *= left
    neighbours.next_sum[row] *= left
    neighbours.base[row] = now


@inner
def place_of(items: Array, near: Array, far: Array, item: int) -> int:
    """Where an item stands in a list (slices of one row): its own place, the first free one, or ~ the place of the least."""
    found = -1
    for place in range(len(items)):  # no way out before the end: so LLVM compares eight at a time
        if items[place] == item:
            found = place
    if found >= 0:
        return found
    if items[len(items) - 1] < 0:
        found = 0
        while items[found] >= 0:
            found += 1
        return found
    least = near[0] + np.float32(FAR_SHARE) * far[0]
    found = 0
    for place in range(1, len(items)):
        value = near[place] + np.float32(FAR_SHARE) * far[place]
        if value < least:
            least = value
            found = place
    return ~found


@inner
def note_pair(neighbours: Neighbours, row: int, item: int, near: Real, far: Real, following: Real) -> None:
    """Add to the weights of `item` in the list of `row`."""
    nears = neighbours.near[row]
    fars = neighbours.far[row]
    nexts = neighbours.next[row]
    place = place_of(neighbours.item[row], nears, fars, item)
    if place < 0:
        place = ~place
        nears[place] *= np.float32(INHERITED)
        fars[place] *= np.float32(INHERITED)
        nexts[place] *= np.float32(INHERITED)
    neighbours.item[row, place] = item
    nears[place] += np.float32(near)
    fars[place] += np.float32(far)
    nexts[place] += np.float32(following)
    neighbours.near_sum[row] += np.float32(near)
    neighbours.far_sum[row] += np.float32(far)
    neighbours.next_sum[row] += np.float32(following)


@inner
def note_neighbours(
    neighbours: Neighbours, marks: Mark, decay: Real, past: Array, held: int, same: int, item: int, weight: Real, now: int
) -> None:
    """Note that somebody whose last choices were past[:held], the newest first, chose `item`; past[:same] at the same time."""
    if held == 0:
        return
    rescale(neighbours, item, decay, now)
    mark(marks, item, 0.0)
    here = weight * growth(neighbours, item, decay, now)
    near: Real = 1.0
    for back in range(min(held, WINDOW)):
        other = past[back]
        if other != item:
            rescale(neighbours, other, decay, now)
            there = weight * growth(neighbours, other, decay, now)
            ahead = TIED if back < same else 1.0
            behind = TIED if back < same else BACK
            following = (TIED_NEXT if same > 0 else 1.0) if back == 0 else 0.0
            preceding = TIED_NEXT if back == 0 and same > 0 else 0.0
            note_pair(neighbours, other, item, there * near * ahead, there, there * following)
            note_pair(neighbours, item, other, here * near * behind, here, here * preceding)
            mark(marks, other, 0.0)
        near *= NEAR_DECAY
