"""The options as kernels take them: plain numbers, in the units that the kernels count in."""

from math import log
from typing import NamedTuple

from numba import types

from streammf.learning.arguments import tuple_type
from streammf.learning.options import LearningOptions
from streammf.learning.tables import FEATURES, HORIZONS

MS_A_DAY = 86_400_000.0
#: Features by what has to be learned or read for them, as bits of the numbers that features.py gives them.
OF_GRADIENT = 1 << HORIZONS
OF_NEIGHBOURS = 0b1111 << (HORIZONS + 1)
OF_PEERS = 1 << (FEATURES - 3)
OF_SQUARES = 0b11 << (FEATURES - 2)


class Rates(NamedTuple):
    """Numbers that steer learning. Decays are λ = ln 2 / half-life, per ms; 0: off."""

    seed: int
    history: int
    negatives: int
    rehearsals: int
    blend_young: int
    blend_every: int
    features: int
    """Bit f: the blend weighs feature f."""
    gradient: int
    """0: the vectors of ranking are not stepped."""
    squares: int
    """0: the vectors of least squares are not solved for."""
    measure: int
    """One event in so many is measured; 0: none."""
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
    neighbour_decay: float
    solved_decay: float
    measure_fade: float
    """What is left of a measured event's weight when another is measured."""
    middle: float
    """The middle of the rating scale."""
    quarter: float
    """A quarter of its length: the unit of everything learned about ratings, so that rates mean the same on every scale."""


RATES = tuple_type([types.int64] * 10 + [types.float64] * 17, Rates)


def decay(days: float) -> float:
    """λ per ms of a half-life in days; 0 (off) for 0."""
    return log(2.0) / (days * MS_A_DAY) if days > 0 else 0.0


def features(options: LearningOptions) -> int:
    """The features that the blend weighs, as bits: all but those of what is switched off."""
    used = (1 << FEATURES) - 1
    for on, bits in (
        (options.gradient, OF_GRADIENT),
        (options.neighbours, OF_NEIGHBOURS),
        (options.peers, OF_PEERS),
        (options.least_squares, OF_SQUARES),
    ):
        if not on:
            used &= ~bits
    return used


def rates(options: LearningOptions) -> Rates:
    """The numbers that `options` stand for."""
    low, high = options.scale
    return Rates(
        seed=int(options.seed),
        history=int(options.history),
        negatives=int(options.negatives),
        rehearsals=int(options.rehearsals),
        blend_young=int(options.blend_young),
        blend_every=int(options.blend_every),
        features=features(options),
        gradient=int(options.gradient),
        squares=int(options.least_squares),
        measure=int(options.measure_every),
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
        neighbour_decay=decay(options.neighbour_half_life),
        solved_decay=decay(options.solved_half_life),
        measure_fade=0.5 ** (1.0 / options.measure_window),
        middle=(low + high) / 2,
        quarter=(high - low) / 4,
    )
