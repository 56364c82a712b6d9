"""Damped means of ratings, of which each begins with some ratings that it was not given."""

from typing import Final

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner

#: Ratings that a damped mean starts with, all of them average: of a user, of an item. Attributes start their sum elsewhere.
USER_PRIOR: Final = 5.0
ITEM_PRIOR: Final = 10.0


@inner
def level_of(total: Real, weight: Real, prior: Real) -> Real:
    """A damped mean."""
    return total / (weight + prior)
