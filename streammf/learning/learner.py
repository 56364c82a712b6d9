"""One call that learns from a batch: the entry of this room for whoever feeds it.

Rules of this file:
1. Events are applied in order, one after another: how a log is cut into batches changes no bit of the result.
2. The caller has registered the batch's users, items and partitions, and reserved one block of `seen` for each event.
"""

from collections.abc import Callable

from streammf.learning.arguments import Batch, Marks
from streammf.learning.blended import learn_all
from streammf.learning.desk import desk
from streammf.learning.least_squares import bench
from streammf.learning.options import LearningOptions
from streammf.learning.ranking import learn_choices
from streammf.learning.rates import rates
from streammf.learning.rating import learn_ratings
from streammf.learning.room import room
from streammf.learning.slate import slate
from streammf.learning.stacked import learn_all_ratings
from streammf.learning.tables import Array, State

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
    kernel = learn_ratings if options.objective == "rating" else learn_choices
    numbers = rates(options)
    space = room(options.dimensions)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        kernel(state, marks, counts, batch, numbers, space)

    return learn


def blended(options: LearningOptions) -> Learner:
    """The same with all that the blend weighs."""
    numbers = rates(options)
    space, table, solving = room(options.dimensions), desk(options.dimensions), bench(options.dimensions)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        learn_all(state, marks, counts, batch, numbers, space, table, solving)

    return learn


def stacked(options: LearningOptions) -> Learner:
    """The same with all that the stack weighs."""
    numbers = rates(options)
    space, laid = room(options.dimensions), slate(options.dimensions)

    def learn(state: State, marks: Marks, counts: Array, batch: Batch) -> None:
        learn_all_ratings(state, marks, counts, batch, numbers, space, laid)

    return learn
