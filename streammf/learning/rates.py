"""The options as kernels take them: plain numbers, in the units that the kernels count in."""

from math import log
from typing import NamedTuple

from numba import types

from streammf.learning.arguments import tuple_type
from streammf.learning.options import LearningOptions

MS_A_DAY = 86_400_000.0


class Rates(NamedTuple):
    """Numbers that steer learning. Decays are λ = ln 2 / half-life, per ms; 0: off."""

    seed: int
    history: int
    negatives: int
    rehearsals: int
    user: float
    item: float
    implicit: float
    regularisation: float
    bias: float
    bias_prior: float
    bias_regularisation: float
    rank_decay: float
    history_decay: float
    popularity_decay: float
    user_decay: float
    late_decay: float
    middle: float
    """The middle of the rating scale."""
    quarter: float
    """A quarter of its length: the unit of everything learned about ratings, so that rates mean the same on every scale."""


RATES = tuple_type([types.int64] * 4 + [types.float64] * 14, Rates)


def decay(days: float) -> float:
    """λ per ms of a half-life in days; 0 (off) for 0."""
    return log(2.0) / (days * MS_A_DAY) if days > 0 else 0.0


def rates(options: LearningOptions) -> Rates:
    """The numbers that `options` stand for."""
    low, high = options.scale
    return Rates(
        seed=int(options.seed),
        history=int(options.history),
        negatives=int(options.negatives),
        rehearsals=int(options.rehearsals),
        user=float(options.user_rate),
        item=float(options.item_rate),
        implicit=float(options.history_rate),
        regularisation=float(options.regularisation),
        bias=float(options.bias_rate),
        bias_prior=float(options.bias_prior),
        bias_regularisation=float(options.bias_regularisation),
        rank_decay=float(options.rank_decay),
        history_decay=decay(options.history_half_life),
        popularity_decay=decay(options.popularity_half_life),
        user_decay=decay(options.user_half_life),
        late_decay=decay(options.late_half_life),
        middle=(low + high) / 2,
        quarter=(high - low) / 4,
    )
