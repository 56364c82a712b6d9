"""μ, the mean rating: additive, so that shards can add up theirs. In quarters of the scale, from its middle."""

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.tables import Whole

#: What the middle of the scale weighs in μ, in ratings: something to say before the first one.
PRIOR = 1.0


@inner
def mean_rating(whole: Whole) -> Real:
    """μ."""
    return whole.value_sum[0] / (whole.value_count[0] + PRIOR)
