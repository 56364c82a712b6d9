"""What the table `measures` says, in words and plain numbers: for `info`, for the metrics, for whoever asks the library.

Rules of this file:
1. Pure and cheap: it reads one row, the vectors of the items of the last LISTS lists, and nothing that grows.
2. Of what serves, over the lists that were measured last:
   coverage: different items / items of the catalogue (Herlocker et al. 2004), so at most LISTS · LISTED items;
   long_tail: places taken by items with fewer events than the average item, which on logs that follow a power law are about
   the 80 % that Abdollahpouri et al. (2017) count as the tail;
   diversity: 1 - the mean cosine of the vectors of two items of a list (Smyth and McClave 2001; Ziegler et al. 2005).
3. Nothing measured is nothing said: means of no events are left out.
"""

from math import sqrt
from typing import Final

import msgspec
import numpy as np

from streammf.learning.features import FEATURE_NAMES, FIRST_WEIGHTS
from streammf.learning.guard import advantage
from streammf.learning.methods import MODEL, SERVED, measure_names, names
from streammf.learning.options import LearningOptions
from streammf.learning.rates import features
from streammf.learning.tables import FEATURES, LISTED, MEASURES, METHODS, SEGMENTS, Array, Measures, State

#: Windows: a decayed mean over the last measured events, and the mean since the beginning.
RECENT: Final = "recent"
ALL: Final = "all"
WINDOWS: Final = (RECENT, ALL)
SERVED_NAME: Final = "served"
LIST_MEASURES: Final = ("coverage", "long_tail", "diversity")
#: Rows of the blend's weights in groups: of everybody, and the means of what activity and time since the last choice add.
SEGMENT_NAMES: Final = ("all", "activity", "gap")
#: Standard errors by which a method has to lead before the model is called worse.
WORSE: Final = 2.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How good the model and each simple method are, measured on events before they were learned from."""

    serving: str
    """The method that answers come from."""
    model: str
    """The method that is the model itself."""
    switched: int
    """How often the guard changed what serves."""
    measured: int
    """Events measured."""
    recent: float
    """How many events the recent means are worth."""
    measures: dict[str, dict[str, dict[str, float]]]
    """Window (`recent`, `all`) → method (`served` among them) → measure → mean."""
    leads: dict[str, float]
    """Simple method → by how many standard errors its recent mean is better than the model's."""
    lists: dict[str, float]
    """Of the last lists of what serves: coverage, long_tail, diversity."""
    weights: dict[str, dict[str, float]]
    """Of the blend: `all`, `activity`, `gap` → feature → weight."""

    @property
    def worse_than(self) -> dict[str, bool]:
        """Simple method → whether the model itself is worse than it, recently and beyond noise."""
        return {method: lead > WORSE for method, lead in self.leads.items()}


def standing(state: State, options: LearningOptions) -> Standing:
    """How things stand."""
    measures = state.measures
    methods = names(options)
    counted = int(measures.counted[0])
    return Standing(
        serving=methods[min(int(measures.serving[0]), len(methods) - 1)],
        model=methods[MODEL],
        switched=int(measures.switched[0]),
        measured=counted,
        recent=float(measures.recent[0] ** 2 / measures.recent_square[0]) if counted else 0.0,
        measures=_means(measures, options) if counted else {},
        leads=_leads(measures, options) if counted else {},
        lists=_of_lists(state, options) if measures.lists[0] else {},
        weights=_weights(state, options) if options.blends else {},
    )


def _means(measures: Measures, options: LearningOptions) -> dict[str, dict[str, dict[str, float]]]:
    methods, kinds = names(options), measure_names(options)
    sums = {RECENT: (measures.window[0], measures.recent[0]), ALL: (measures.total[0], measures.stands_for[0])}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for window, (total, weight) in sums.items():
        means = np.asarray(total / weight).reshape(METHODS, MEASURES)
        found[window] = {}
        for place, method in [*enumerate(methods), (SERVED, SERVED_NAME)]:
            of_method = dict(zip(kinds, means[place].tolist(), strict=False))
            if "rmse" in of_method:
                of_method["rmse"] = sqrt(of_method["rmse"])
            found[window][method] = of_method
    return found


def _leads(measures: Measures, options: LearningOptions) -> dict[str, float]:
    better = -1.0 if options.objective == "rating" else 1.0
    sums = measures.window[0].reshape(METHODS, MEASURES)[:, 0]
    found = {}
    for place, method in enumerate(names(options)):
        if place != MODEL:
            apart = measures.apart[0, place * METHODS + MODEL]
            ahead = advantage(sums[place] - sums[MODEL], apart, measures.recent[0], measures.recent_square[0])
            found[method] = better * float(ahead)
    return found


def _of_lists(state: State, options: LearningOptions) -> dict[str, float]:
    measures = state.measures
    lists = measures.listed[0].reshape(-1, LISTED)
    lists = lists[(lists >= 0).any(axis=1)]
    rows = lists[lists >= 0]
    catalogue = int(measures.catalogue[0])
    if not len(rows) or not catalogue:
        return {}
    average = float(state.whole.events[0]) / catalogue
    vectors = state.items.factor if options.gradient or not options.blends else state.solved_items.factor
    return {
        "coverage": len(np.unique(rows)) / catalogue,
        "long_tail": float(np.mean(state.items.events[rows] < average)),
        "diversity": _diversity(vectors, lists),
    }


def _diversity(vectors: Array, lists: Array) -> float:
    found = []
    for rows in lists:
        own = vectors[rows[rows >= 0]].astype(np.float64)
        if len(own) > 1:
            own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
            pairs = len(own) * (len(own) - 1)
            found.append(1.0 - (float((own @ own.T).sum()) - float((own * own).sum())) / pairs)
    return float(np.mean(found)) if found else 0.0


def _weights(state: State, options: LearningOptions) -> dict[str, dict[str, float]]:
    moved = np.asarray(state.blend.weight[0], np.float64).reshape(SEGMENTS, FEATURES)
    half = SEGMENTS // 2
    rows = {"all": moved[0] + FIRST_WEIGHTS, "activity": moved[1:half].mean(axis=0), "gap": moved[half:].mean(axis=0)}
    used = features(options)
    return {
        segment: {name: float(row[f]) for f, name in enumerate(FEATURE_NAMES) if used >> f & 1} for segment, row in rows.items()
    }
