"""The methods that are measured side by side, and which of them may serve in the model's place.

Rules of this file:
1. Positions are those of the table `measures`: 0 is the model itself, the last is whatever served at the moment; between
   them stand the simple methods, those of one objective behind each other. A new one takes the next free position.
2. A simple method of the blend is a choice of weights: what is measured is what would be served.
"""

from typing import Final

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.desk import Desk
from streammf.learning.features import FACTORS, OF_NEAR, SQUARES, weigh
from streammf.learning.options import LearningOptions
from streammf.learning.tables import FEATURES, HORIZONS, METHODS, Array

MODEL: Final = 0
SERVED: Final = METHODS - 1
#: Of the blend. Popularity at each half-life stands at 1 .. HORIZONS; the last of them is of all time.
POPULARITY: Final = HORIZONS
NEIGHBOURS, GRADIENT, PLAIN, SOLVED = range(HORIZONS + 1, HORIZONS + 5)
#: Methods of each kind of model, `served` not among them.
OF_BLEND: Final = SOLVED + 1
OF_FACTORS: Final = 2
OF_RATINGS: Final = 2
OF_STACK: Final = 3
#: How much of log-popularity decides between equal neighbours: nothing beside a difference of the neighbours'.
TIE: Final = 1e-4

#: Names, by position. `factors + popularity` and `factors` are gradient steps: the second is plain incremental SGD.
BLEND_NAMES: Final = (
    "blend", "popularity 15 min", "popularity 6 h", "popularity 7 d", "popularity", "neighbours", "factors + popularity",
    "factors", "least squares",
)  # fmt: skip
FACTOR_NAMES: Final = ("factors + popularity", "popularity")
RATING_NAMES: Final = ("factors", "biases")
STACK_NAMES: Final = ("stack", "biases", "factors")
RANKING_MEASURES: Final = ("recall@10", "ndcg@10", "mrr@10")
RATING_MEASURES: Final = ("rmse", "mae")


def names(options: LearningOptions) -> tuple[str, ...]:
    """The methods that are measured, by position; `served` comes behind them, at SERVED."""
    if options.objective == "rating":
        return STACK_NAMES if options.stacks else RATING_NAMES
    return BLEND_NAMES if options.blends else FACTOR_NAMES


def measure_names(options: LearningOptions) -> tuple[str, ...]:
    """What is measured of each."""
    return RATING_MEASURES if options.objective == "rating" else RANKING_MEASURES


@inner
def write_method(method: int, desk: Desk) -> None:
    """desk.weight = the weights by which a simple method ranks; the blend's own (0) are left as they are."""
    if method > 0:
        for f in range(FEATURES):
            desk.weight[f] = 0.0
        if method <= POPULARITY:
            desk.weight[method - 1] = 1.0
        elif method == NEIGHBOURS:
            desk.weight[OF_NEAR] = 1.0
            desk.weight[POPULARITY - 1] = TIE
        elif method == SOLVED:
            desk.weight[SQUARES] = 1.0
        else:
            desk.weight[FACTORS] = 1.0
            if method == GRADIENT:
                desk.weight[POPULARITY - 1] = 1.0


@inner
def method_score(method: int, weight: Array, feature: Array) -> Real:
    """What a method says of an item of these features: w·x with the weights of `write_method`."""
    if method == MODEL:
        return weigh(weight, feature)
    if method <= POPULARITY:
        return 1.0 * feature[method - 1]
    if method == NEIGHBOURS:
        return feature[OF_NEAR] + TIE * feature[POPULARITY - 1]
    if method == SOLVED:
        return 1.0 * feature[SQUARES]
    return 1.0 * feature[FACTORS] + (feature[POPULARITY - 1] if method == GRADIENT else 0.0)
