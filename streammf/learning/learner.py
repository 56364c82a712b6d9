"""One call that learns from a batch: the entry of this room for whoever feeds it.

Rules of this file:
1. Events are applied in order, one after another: how a log is cut into batches changes no bit of the result.
2. The caller has registered the batch's users, items and partitions, and reserved one block of `seen` for each event.
"""

from collections.abc import Callable

from streammf.learning.arguments import Batch, Marks
from streammf.learning.blended import learn_all
from streammf.learning.conjugate import bench
from streammf.learning.desk import desk
from streammf.learning.options import LearningOptions
from streammf.learning.prequential import jury, most_measured
from streammf.learning.ranking import learn_choices
from streammf.learning.rates import rates
from streammf.learning.rating import learn_ratings
from streammf.learning.room import room
from streammf.learning.slate import slate
from streammf.learning.stacked import learn_all_ratings
from streammf.learning.tables import FEATURES, HORIZONS, Array, State

Learner = Callable[[State, Marks, Array, Batch], None]


def learner(options: LearningOptions) -> Learner:
    """Learn from batches as `options` say. The kernels must be `ready()`.

    The result takes (state, marks, counts, batch) and changes the first three in place: `counts` only by the blocks of
    seen items that it allocates.
    """
    if options.blends:
        return blended(options)
    if options.stacks:
        return stacked(options)
    numbers = rates(options)
    space, table = room(options.dimensions), desk(options.dimensions, most_measured(1))
    judging = jury(len(table.row), FEATURES)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        if options.objective == "rating":
            learn_ratings(state, marks, counts, batch, numbers, space, judging)
        else:
            learn_choices(state, marks, counts, batch, numbers, space, table, judging)

    return learn


def blended(options: LearningOptions) -> Learner:
    """The same with all that the blend weighs."""
    numbers = rates(options)
    dimensions = options.dimensions
    space, table, solving = room(dimensions), desk(dimensions, most_measured(HORIZONS)), bench(dimensions)
    judging = jury(len(table.row), FEATURES)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        learn_all(state, marks, counts, batch, numbers, space, table, solving, judging)

    return learn


def stacked(options: LearningOptions) -> Learner:
    """The same with all that the stack weighs."""
    numbers = rates(options)
    space, laid, judging = room(options.dimensions), slate(options.dimensions), jury(0, FEATURES)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        learn_all_ratings(state, marks, counts, batch, numbers, space, laid, judging)

    return learn
