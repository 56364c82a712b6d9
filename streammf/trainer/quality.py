"""How good the model is, as a trainer tells it: gauges that are set from the table `measures` now and then.

Rules of this file:
1. Closed label values: the methods, measures and windows of the objective, the features of the blend.
2. What nothing was measured of yet is 0, as every gauge after a start; `measured_events` says so.
"""

import time
from typing import Final

from streammf.counters.block import Block, Family
from streammf.learning.features import FEATURE_NAMES
from streammf.learning.methods import measure_names, names
from streammf.learning.options import LearningOptions
from streammf.learning.standing import LIST_MEASURES, SEGMENT_NAMES, SERVED_NAME, WINDOWS, standing
from streammf.learning.tables import State

#: Seconds between two looks.
PAUSE: Final = 2.0


def quality_families(options: LearningOptions) -> tuple[Family, ...]:
    """The families of a trainer that learns as `options` say."""
    methods = names(options)
    by_measure = {"measure": measure_names(options), "method": (*methods, SERVED_NAME), "window": WINDOWS}
    weights = {"feature": FEATURE_NAMES, "segment": SEGMENT_NAMES}
    return (
        Family("measured_events", "gauge", "Events that were foretold before they were learned from, since the beginning."),
        Family("prequential", "gauge", "How well each method foretold them: a decayed mean (recent), and since then (all).",
               by_measure),
        Family("worse_than", "gauge", "1 where the model's recent mean is worse than a simple method's, beyond noise, else 0.",
               {"method": methods[1:]}),
        Family("serving", "gauge", "1 for the method that answers come from, else 0.", {"method": methods}),
        Family("guard_serves", "gauge", "1 where the guard lets a simple method serve in the model's place, else 0."),
        Family("guard_switches", "gauge", "How often the guard changed what serves, since the beginning."),
        Family("lists", "gauge", "Of the last lists of what serves: their part of the catalogue, their part of rare items, "
               "and how unlike the items of one list are.", {"measure": LIST_MEASURES}),
        Family("blend_weight", "gauge", "What the blend weighs with: for everybody (all), and what activity and the time since "
               "the last choice (gap) add to that on average.", weights),
    )  # fmt: skip


class Quality:
    """Sets the gauges, in a block that has `quality_families(options)`."""

    def __init__(self, block: Block, options: LearningOptions) -> None:
        self._block = block
        self._options = options
        self._looked = -PAUSE

    def look(self, state: State) -> None:
        """Set the gauges, if it is time. Between two batches."""
        now = time.monotonic()
        if self._options.measure_every and now - self._looked >= PAUSE:
            self._looked = now
            self.tell(state)

    def tell(self, state: State) -> None:
        """Set the gauges."""
        block, found = self._block, standing(state, self._options)
        block.gauge("measured_events").set(found.measured)
        block.gauge("guard_serves").set(float(found.serving != found.model))
        block.gauge("guard_switches").set(found.switched)
        for method in names(self._options):
            block.gauge("serving", method).set(float(method == found.serving))
        for window, methods in found.measures.items():
            for method, measures in methods.items():
                for measure, value in measures.items():
                    block.gauge("prequential", measure, method, window).set(value)
        for method, worse in found.worse_than.items():
            block.gauge("worse_than", method).set(float(worse))
        for measure, value in found.lists.items():
            block.gauge("lists", measure).set(value)
        for segment, weights in found.weights.items():
            for feature, value in weights.items():
                block.gauge("blend_weight", feature, segment).set(value)
