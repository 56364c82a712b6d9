"""What a search may change: the settings that act on an objective, and between which bounds.

Rules of this file:
1. Only what acts: a setting of the blend is searched where the blend is on, one of ratings where ratings are learned.
2. Rates, half-lives and counts are searched by their logarithm: from 1 to 10 is as far as from 10 to 100.
3. A default is always within the bounds, for the first trial is the configuration as it is: bounds give way to it.
"""

from typing import Final, NamedTuple

from streammf.learning.options import LearningOptions


class Knob(NamedTuple):
    """One setting of learning that is searched."""

    name: str
    low: float
    high: float
    whole: bool = False
    """Whether it is a whole number."""
    log: bool = True

    def around(self, value: float) -> "Knob":
        """Wide enough for a value. A value of 0, which no logarithm has, leaves the knob as it is."""
        return self if self.log and value <= 0 else self._replace(low=min(self.low, value), high=max(self.high, value))


_EVERYWHERE: Final = (
    Knob("factors", 8, 96, whole=True),
    Knob("history", 4, 96, whole=True),
    Knob("user_rate", 0.003, 0.3),
    Knob("item_rate", 0.003, 0.3),
    Knob("history_rate", 0.003, 0.3),
    Knob("regularisation", 1e-4, 0.3),
    Knob("rehearsals", 0, 8, whole=True, log=False),
    Knob("user_half_life", 7, 3650),
)
_RANKING: Final = (
    Knob("negatives", 1, 20, whole=True),
    Knob("rank_decay", 0.6, 1.0, log=False),
    Knob("popularity_half_life", 0.1, 3650),
)
_RATING: Final = (
    Knob("bias_rate", 0.003, 0.2),
    Knob("bias_prior", 1, 50),
    Knob("bias_regularisation", 1e-3, 0.5),
    Knob("history_half_life", 7, 3650),
)
_BLEND: Final = (
    Knob("neighbours", 30, 300, whole=True),
    Knob("neighbour_half_life", 3, 3650),
    Knob("solved_half_life", 3, 3650),
)


def knobs(options: LearningOptions) -> list[Knob]:
    """What is searched from these options on. A decay or a rate that is switched off (0) stays off."""
    found = [*_EVERYWHERE, *(_RATING if options.objective == "rating" else _RANKING)]
    if options.blends:
        found += _BLEND
    return [knob.around(getattr(options, knob.name)) for knob in found if not knob.log or getattr(options, knob.name) > 0]
