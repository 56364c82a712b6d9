"""What each way of recommending adds to the blend's recall, and what it costs: the blend without it (or with it, where it is
off by default), on the same events.

Rules of this file:
1. What can be switched off is switched off whole, as an operator would, so that its cost goes too. Features that are read
   together cost together; what one of them adds is found by leaving it out of what the blend weighs.
2. What has no switch costs nothing that could be spared: popularity is measured and served when all else fails, and times of
   items are kept anyway.
"""

import time
from statistics import median
from typing import Final, NamedTuple

import msgspec

from scripts.benchmarks.data import Events
from scripts.benchmarks.ranked import ALL, part, prepared
from streammf.learning.features import FEATURE_NAMES
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import HORIZONS

DEFAULTS: Final = LearningOptions()
#: Times that a cost is measured.
RUNS: Final = 3


class Variant(NamedTuple):
    """The blend without something, or with something that is off by default."""

    name: str
    options: LearningOptions = DEFAULTS
    features: int = ALL
    """Bits of the features that it weighs."""

    @property
    def switched(self) -> bool:
        """Whether something else is learned than by default."""
        return self.options != DEFAULTS


def without(name: str, *features: int) -> Variant:
    """The blend that does not weigh these."""
    return Variant(f"without {name}", features=ALL & ~sum(1 << feature for feature in features))


def switched(name: str, **off: int | bool) -> Variant:
    """The blend with these options."""
    return Variant(name, msgspec.structs.replace(DEFAULTS, **off))


def single(name: str) -> Variant:
    """The blend without one of several features that belong together."""
    return without(f"`{name}` alone", FEATURE_NAMES.index(name))


VARIANTS: Final = (
    without("popularity", *range(HORIZONS)),
    *map(single, FEATURE_NAMES[:HORIZONS]),
    switched("without neighbours", neighbours=0),
    *map(single, ("near", "far", "next", "cosine")),
    switched("with 32 peers", peers=32),
    without("timing", FEATURE_NAMES.index("idle"), FEATURE_NAMES.index("age")),
    *map(single, ("idle", "age")),
    switched("without gradient factors", gradient=False),
    switched("without least squares", least_squares=False),
    *map(single, ("least squares", "log least squares")),
    switched("gradient factors, popularity and timing alone", least_squares=False, neighbours=0),
    switched("least squares, popularity and timing alone", gradient=False, neighbours=0),
    switched("popularity and timing alone", least_squares=False, gradient=False, neighbours=0),
)


class Cost(NamedTuple):
    """µs an event of the learning kernel alone; processor time."""

    whole: float
    """Over the whole log."""
    half: float
    """Over its second half."""


def cost(events: Events, options: LearningOptions) -> Cost:
    """Of one run."""
    model, batch = prepared(events, options)
    learn, memory = learner(options), model.memory
    state, middle = memory.state, len(events) // 2
    times = [time.process_time()]
    for first, last in ((0, middle), (middle, len(events))):
        learn(state, memory.marks, memory.counts, part(batch, first, last))
        times.append(time.process_time())
    return Cost((times[2] - times[0]) / len(events) * 1e6, (times[2] - times[1]) / (len(events) - middle) * 1e6)


def costs(events: Events, variants: list[LearningOptions]) -> list[list[Cost]]:
    """RUNS of each, one after another in turns, so that what disturbs one run disturbs all alike."""
    rounds = [[cost(events, options) for options in variants] for _ in range(RUNS)]
    return [list(column) for column in zip(*rounds, strict=True)]


def spared(full: list[Cost], less: list[Cost]) -> float:
    """µs an event, run by run."""
    return median(a.whole - b.whole for a, b in zip(full, less, strict=True))
