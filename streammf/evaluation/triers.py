"""What is tried on every event of the sample: one class an objective and way of serving, all called alike.

Rules of this file:
1. A trier owns a model of its own that has learned nothing. What it is given, it tries as `sample` says and, where told to,
   learns from, in order; how that is cut into batches changes nothing.
2. What it gives back are views that the next call writes over.
3. A kernel is compiled only where it is needed: its module is imported when its trier is made.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.whole_log import WholeLog
from streammf.events.event import Control
from streammf.learning.arguments import Batch
from streammf.learning.compiling import Part, ready
from streammf.learning.conjugate import bench
from streammf.learning.desk import desk
from streammf.learning.options import LearningOptions
from streammf.learning.rates import rates
from streammf.learning.room import room, spaced
from streammf.learning.tables import FEATURES, Axis
from streammf.learning.trial import AGAIN, LISTED, trials
from streammf.state.describing import describe
from streammf.state.memory import Memory
from streammf.state.options import Limits

#: Events handed to a trier at once.
MOST: Final = 2_000


class Found(NamedTuple):
    """What a batch of n events gave, m of them with a list. Views."""

    score: NDArray[np.float64]
    """(n, methods). Ranking: how many items stood before the event's; -1: no trial. Rating: what was foretold; NaN: none."""
    listed_at: NDArray[np.int64]
    """(m,) places in the batch."""
    listed: NDArray[np.int32]
    """(m, LISTED) item rows of what serves, the best first; -1: no more."""


class Trier(Protocol):
    """See rule 1."""

    methods: tuple[str, ...]
    """The first is what serves."""

    def __call__(self, batch: Batch, sample: NDArray[np.uint8], *, learn: bool) -> Found:
        """Try and learn; sample: (n,), of trial.SKIP, TRY."""
        ...

    def tell(self, control: Control, row: int) -> None:
        """Learn what a log says of an item or a user."""
        ...

    def again(self, batch: Batch) -> NDArray[np.float64]:
        """(n,) the score of what serves for events that were learned from already. Learns nothing."""
        ...


def compile_for(options: LearningOptions, report: Callable[[int, int], None] | None = None) -> None:
    """Compile, or load, the kernels that trying these options needs; `report` as in compiling.ready."""
    if options.objective == "rating":
        module = "streammf.evaluation.rating_trier"
    else:
        module = f"streammf.learning.trial_{'blend' if options.blends else 'plain'}"
    import_module(module)
    answering: tuple[Part, ...] = ("stack",) if options.stacks else ()
    ready("measuring", *answering, report=report)


def trier(log: WholeLog, options: LearningOptions) -> Trier:
    """What tries a model of these options on this log."""
    if options.objective == "rating":
        from streammf.evaluation.rating_trier import RatingTrier  # noqa: PLC0415 - see rule 3

        return RatingTrier(log, options)
    return BlendTrier(log, options) if options.blends else PlainTrier(log, options)


def empty_memory(log: WholeLog, options: LearningOptions) -> Memory:
    """Of a model that knows all ids of the log and has learned nothing."""
    ready("any")
    limits = Limits(max(log.users.count, 1), max(log.items.count, 1))
    memory = Memory.anonymous(options.dimensions, options.seed, limits=limits)
    memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
    memory.add_rows(Axis.USER, log.user_keys)
    memory.add_rows(Axis.ITEM, log.item_keys)
    return memory


class PlainTrier:
    """Ranking without the blend."""

    def __init__(self, log: WholeLog, options: LearningOptions) -> None:
        from streammf.learning.trial_plain import METHODS, try_plain  # noqa: PLC0415 - see rule 3

        self.methods: tuple[str, ...] = METHODS
        self._kernel = try_plain
        self._memory = empty_memory(log, options)
        self._options = options
        self._rates, self._room = rates(options), room(options.dimensions)
        self._trials = trials(len(METHODS), log.items.count, MOST)

    def __call__(self, batch: Batch, sample: NDArray[np.uint8], *, learn: bool) -> Found:
        """See Trier."""
        memory, n = self._memory, len(batch.user)
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + n)
        self._kernel(
            memory.state, memory.marks, memory.counts, batch, self._rates, self._room, sample, int(learn), self._trials
        )
        return _found(self._trials.rank[:n], self._trials.listed[:n])

    def tell(self, control: Control, row: int) -> None:
        """See Trier."""
        describe(self._memory, self._options, control, row)

    def again(self, batch: Batch) -> NDArray[np.float64]:
        """See Trier."""
        return self(batch, np.full(len(batch.user), AGAIN, np.uint8), learn=False).score[:, 0]


class BlendTrier:
    """Ranking by the blend."""

    def __init__(self, log: WholeLog, options: LearningOptions) -> None:
        from streammf.learning.trial_blend import METHODS, try_blend  # noqa: PLC0415 - see rule 3

        self.methods: tuple[str, ...] = METHODS
        self._kernel = try_blend
        self._memory = empty_memory(log, options)
        self._options = options
        dimensions = options.dimensions
        self._rates, self._room = rates(options), room(dimensions)
        self._desk, self._bench, self._feature = desk(dimensions), bench(dimensions), spaced(FEATURES, "f4")
        self._trials = trials(len(METHODS), log.items.count, MOST)

    def __call__(self, batch: Batch, sample: NDArray[np.uint8], *, learn: bool) -> Found:
        """See Trier."""
        memory, n = self._memory, len(batch.user)
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + n)
        self._kernel(
            memory.state, memory.marks, memory.counts, batch, self._rates, self._room, self._desk, self._bench,
            self._feature, sample, int(learn), self._trials,
        )  # fmt: skip
        return _found(self._trials.rank[:n], self._trials.listed[:n])

    def tell(self, control: Control, row: int) -> None:
        """See Trier."""
        describe(self._memory, self._options, control, row)

    def again(self, batch: Batch) -> NDArray[np.float64]:
        """See Trier."""
        return self(batch, np.full(len(batch.user), AGAIN, np.uint8), learn=False).score[:, 0]


def _found(rank: NDArray[np.float64], listed: NDArray[np.int32]) -> Found:
    at = np.flatnonzero(rank[:, 0] >= 0)
    return Found(rank, at, listed[at, :LISTED])
