"""What producers say of items and users, on its way into the tables: values of attributes get rows by their hashes.

Rules of this file:
1. The row of a value is a pure function of its name and the seed. Two that meet in one row are taken for one value.
2. An item counts as known since its control event's own time; where that is later than the event clock, or unknown, since now.
"""

import hashlib

import numpy as np

from streammf.events.event import Control
from streammf.learning.arguments import frozen
from streammf.learning.attributes import describe_item, describe_user
from streammf.learning.options import LearningOptions
from streammf.learning.tables import ATTRIBUTED
from streammf.state.memory import Memory


def describe(memory: Memory, options: LearningOptions, control: Control, row: int) -> None:
    """Do what a control event of kind `item` or `user` says of the row; nothing where attributes are not learned from.

    Of more than ATTRIBUTED categories the first are taken.
    """
    if not options.attributes:
        return
    said = control.attributes
    values = frozen(np.array([value_row(name, options) for name in said.categories[:ATTRIBUTED]], np.int32))
    if control.kind == "user":
        describe_user(memory.state, memory.marks, row, values)
        return
    clock = int(memory.state.whole.clock[0])
    since = clock if control.time < 0 else min(control.time, clock or control.time)
    describe_item(memory.state, memory.marks, row, values, int(said.hidden), max(since, 1))


def value_row(name: str, options: LearningOptions) -> int:
    """The row of a value of an attribute."""
    named = hashlib.blake2b(name.encode(), digest_size=8, key=options.seed.to_bytes(8, "little"))
    return int.from_bytes(named.digest(), "little") % options.attributes
