"""How alike two items are rated, beyond mean and biases, by people who rated both: a bounded list an item.

Rules of this file:
1. Likeness of two items = Σ x y / Σ ½ (x² + y²) over the people who rated both, damped while these are few. x, y: residuals.
2. An item may stand in one set of WAYS places of a list, which its hash names: it is found, or the least of the set is, by
   reading eight numbers. A full set gives the place of the least counted to a new item, which inherits half its count: a
   newcomer that comes again overtakes, one that does not is replaced (Metwally, Agrawal, El Abbadi 2005, but for the half).
3. A rating is noted in its own item's list with the WINDOW ratings before it, and in the lists of the newest BACK of these:
   each such list is a row somewhere else in memory.
"""

from typing import Final

import numpy as np

from streammf.learning.ahead import fetch, fetch_place
from streammf.learning.arguments import Mark, Real
from streammf.learning.compiling import inner
from streammf.learning.history import before, newest
from streammf.learning.marks import mark
from streammf.learning.rates import Rates
from streammf.learning.rating import GIVEN
from streammf.learning.tables import WAYS, Array, RatedItems, Users

WINDOW: Final = 16
BACK: Final = 8
#: People who must have rated both before it says anything, and the number at which likeness counts half.
FEWEST: Final = 2.0
PRIOR: Final = 100.0
#: Count at which a pair's sums are halved: so that they fade at last, and stay exact.
MOST_COUNT: Final = np.float32(4096.0)
INHERITED: Final = np.float32(0.5)
TINY: Final = 1e-6
#: What speaks against the neighbours while they are few or hardly alike: in the mean that squared likeness weighs, and in
#: the other.
SILENCE: Final = 0.05
SILENCE_WIDE: Final = 0.5


@inner
def set_of(row: int, places: int) -> int:
    """The first place of the set in which an item may stand."""
    spread = (np.int64(row) * 2654435761) & 0xFFFFFFFF
    return int((spread * (places // WAYS)) >> 32) * WAYS


@inner
def place_in(others: Array, row: int) -> int:
    """Where an item stands in a list (a slice of one row), or -1."""
    first = set_of(row, len(others))
    found = -1
    for way in range(WAYS):  # no way out before the end: so LLVM compares all at once
        if others[first + way] == row:
            found = first + way
    return found


@inner
def take_place(rated: RatedItems, row: int, other: int) -> int:
    """Where `other` stands in the list of `row`, which it enters if it is not in it."""
    others = rated.other[row]
    found = place_in(others, other)
    if found >= 0:
        return found
    counts = rated.support[row]
    first = set_of(other, len(others))
    found = first
    for place in range(first + 1, first + WAYS):
        if counts[place] < counts[found]:  # a free place counts 0
            found = place
    others[found] = other
    counts[found] *= INHERITED
    rated.product[row, found] = 0.0
    rated.energy[row, found] = 0.0
    return found


@inner
def note_pair(rated: RatedItems, row: int, place: int, product: Real, energy: Real, weight: Real) -> None:
    """Add to the sums at a place of a list."""
    rated.product[row, place] += np.float32(weight * product)
    rated.energy[row, place] += np.float32(weight * energy)
    rated.support[row, place] += np.float32(weight)
    if rated.support[row, place] > MOST_COUNT:
        rated.product[row, place] *= np.float32(0.5)
        rated.energy[row, place] *= np.float32(0.5)
        rated.support[row, place] *= np.float32(0.5)


@inner
def note_corated(
    users: Users, rated: RatedItems, marks: Mark, rates: Rates, user: int, item: int, places: Array, residual: Real,
    weight: Real,
) -> None:  # fmt: skip
    """Note a rating with those before it. places: where `read_corated` found these in the item's list."""
    size = users.history_item.shape[1]
    at = newest(users.taught[user], size)
    for back in range(min(users.taught[user], rates.history, WINDOW)):
        other = users.history_item[user, at]
        if other >= 0 and other != item:
            y = users.history_value[user, at] - GIVEN
            product = residual * y
            energy = 0.5 * (residual * residual + y * y)
            place = places[back]
            if place < 0 or rated.other[item, place] != other:  # another of this history may have taken it
                place = take_place(rated, item, other)
            note_pair(rated, item, place, product, energy, weight)
            if back < BACK:
                note_pair(rated, other, take_place(rated, other, item), product, energy, weight)
                mark(marks, other, 0.0)
        at = before(at, size)


@inner
def read_corated(users: Users, rated: RatedItems, rates: Rates, user: int, item: int, places: Array) -> tuple[Real, Real]:
    """What the user's last ratings let expect of an item, by likeness squared and by likeness. Writes where each stands."""
    size = users.history_item.shape[1]
    at = newest(users.taught[user], size)
    others = rated.other[item]
    near = 0.0
    near_weight = SILENCE
    wide = 0.0
    wide_weight = SILENCE_WIDE
    for back in range(min(users.taught[user], rates.history)):
        other = users.history_item[user, at]
        place = place_in(others, other) if other >= 0 and other != item else -1
        places[back] = place
        if place >= 0 and rated.support[item, place] >= FEWEST and rated.product[item, place] > 0:
            count = np.float64(rated.support[item, place])
            like = rated.product[item, place] / (rated.energy[item, place] + TINY) * count / (count + PRIOR)
            y = users.history_value[user, at] - GIVEN
            wide += like * y
            wide_weight += like
            near += like * like * y
            near_weight += like * like
        at = before(at, size)
    return near / near_weight, wide / wide_weight


@inner
def fetch_corated(rated: RatedItems, row: int) -> None:
    """Ask for an item's list."""
    fetch(rated.other, row)
    fetch(rated.product, row)
    fetch(rated.energy, row)
    fetch(rated.support, row)


@inner
def fetch_back(users: Users, rated: RatedItems, rates: Rates, user: int, item: int) -> None:
    """Ask for the sets that `item` may stand in, in the lists of the user's last items."""
    size = users.history_item.shape[1]
    at = newest(users.taught[user], size)
    place = set_of(item, rated.other.shape[1])
    for _ in range(min(users.taught[user], rates.history, BACK)):
        other = users.history_item[user, at]
        fetch_place(rated.other, other, place)
        fetch_place(rated.product, other, place)
        fetch_place(rated.energy, other, place)
        fetch_place(rated.support, other, place)
        at = before(at, size)
