"""The learning kernels by themselves, on events that stand ready in private memory: no log, no live memory, no store.

`arrays`: rows are known before the clock starts, and the kernel alone is timed. `ids`: the whole of Model.learn is timed:
ids become rows, rows get their first values, room is reserved, the kernel learns.
"""

import time
from typing import Final

import numpy as np

from scripts.benchmarks.data import Events
from streammf.learning.arguments import Batch
from streammf.learning.compiling import ready
from streammf.learning.learner import learner
from streammf.learning.measures import errors, foretell_ratings
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.model import Model
from streammf.state.options import Limits
from streammf.trainer.options import TrainerOptions

LIMITS: Final = Limits(10_000_000, 1_000_000)
#: Events handed to the kernel at once: what the trainer hands over.
BATCH: Final = TrainerOptions().batch


def empty_model(options: LearningOptions) -> Model:
    """A model in private memory that has learned nothing; one partition."""
    ready()
    memory = Memory.anonymous(options.dimensions, options.seed, limits=LIMITS)
    memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
    users = Ids.anonymous(options.seed, LIMITS.users, "users")
    items = Ids.anonymous(options.seed, LIMITS.items, "items")
    return Model(options, memory, users, items)


def registered(model: Model, events: Events) -> Batch:
    """All events as one batch, of rows that exist."""
    user_rows, new_users = model.users.register(events.users)
    item_rows, new_items = model.items.register(events.items)
    model.memory.add_rows(Axis.USER, new_users)
    model.memory.add_rows(Axis.ITEM, new_items)
    n = len(events)
    weights = np.ones(n, np.float32)
    partitions = np.zeros(n, np.int32)
    return Batch(user_rows, item_rows, events.values, weights, events.times, partitions, np.arange(n, dtype=np.int64))


def learn_arrays(options: LearningOptions, events: Events) -> float:
    """The kernel alone; seconds."""
    model = empty_model(options)
    whole = registered(model, events)
    memory, learn = model.memory, learner(options)
    memory.reserve(Axis.SEEN, len(events))
    state, marks, counts = memory.state, memory.marks, memory.counts
    began = time.perf_counter()
    for first in range(0, len(events), BATCH):
        learn(state, marks, counts, Batch(*(column[first : first + BATCH] for column in whole)))
    return time.perf_counter() - began


def learn_ids(options: LearningOptions, events: Events) -> float:
    """Ids, rows and kernel; seconds."""
    model = empty_model(options)
    n = len(events)
    types, partitions, offsets = ["rating"] * n, np.zeros(n, np.int32), np.arange(n, dtype=np.int64)
    began = time.perf_counter()
    for first in range(0, n, BATCH):
        part = slice(first, first + BATCH)
        model.learn(
            events.users[part],
            events.items[part],
            types[part],
            events.values[part],
            events.times[part],
            partitions[part],
            offsets[part],
        )
    return time.perf_counter() - began


def foretold(options: LearningOptions, events: Events) -> Array:
    """What each rating was expected to be before it was learned from."""
    model = empty_model(options)
    whole = registered(model, events)
    memory = model.memory
    memory.reserve(Axis.SEEN, len(events))
    return foretell_ratings(memory.state, memory.marks, memory.counts, whole, options)


def rmse(options: LearningOptions, events: Events) -> float:
    """Of ratings that are each foretold and then learned from."""
    return errors(foretold(options, events), events.values).rmse
