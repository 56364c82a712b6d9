"""Where the stack lays out one rating: made once a learner or an answer, because kernels allocate nothing."""

from typing import NamedTuple

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.room import spaced
from streammf.learning.tables import PARTS, STACKED, Array, Dimensions


class Slate(NamedTuple):
    """What is known of one rating, for the time of one step."""

    feature: Array  # float64 (STACKED,)
    gain: Array  # float64 (STACKED,)
    foretold: Array  # float64 (PARTS,): what each part expects, in quarters of the scale from its middle; not cut to it
    place: Array  # int32 (H,): where the items of the user's history stand in the item's list; -1: nowhere


SLATE = tuple_type([array_type("f8", 1), array_type("f8", 1), array_type("f8", 1), array_type("i4", 1)], Slate)


def slate(dimensions: Dimensions) -> Slate:
    """Room for steps of a model of these dimensions."""
    return Slate(spaced(STACKED, "f8"), spaced(STACKED, "f8"), spaced(PARTS, "f8"), spaced(dimensions.history, "i4"))
