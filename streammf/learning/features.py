"""What the blend weighs: for a person and an item, one number from each way of recommending, most of them logs.

Rules of this file:
1. Every feature is finite, whatever the state: logs are of what is at least a little more than 0.
2. The order of FEATURE_NAMES is that of the stored weights: a new feature goes to the end.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.audience import popularity_of
from streammf.learning.compiling import inner
from streammf.learning.desk import COSINE, FAR, NEAR, NEXT, PEERS, Desk
from streammf.learning.neighbours import growth
from streammf.learning.tables import FEATURES, HORIZONS, Array, State

FEATURE_NAMES: Final = (
    "popularity 15 min", "popularity 6 h", "popularity 7 d", "popularity", "factors", "near", "far", "next", "cosine",
    "idle", "age", "peers", "least squares", "log least squares",
)  # fmt: skip
#: What each weighs before anything is learned.
FIRST_WEIGHTS: Final = (0.3,) * 12 + (1.0, 1.0)
(FACTORS, OF_NEAR, OF_FAR, OF_NEXT, OF_COSINE, IDLE, AGE, OF_PEERS, SQUARES, LOG_SQUARES) = range(HORIZONS, FEATURES)

#: What an answer says put an item on the list: the features in groups that people understand.
SOURCES: Final = ("popular", "factors", "neighbours", "peers", "timing")
SOURCE_OF: Final = (0, 0, 0, 0, 1, 2, 2, 2, 2, 4, 4, 3, 1, 1)

#: What stands for a share of 0.
LEAST: Final = np.float32(1e-3)
LEAST_PEERS: Final = np.float32(1e-4)
LEAST_SOLVED: Final = np.float32(0.02)
#: Choices that a rare item is taken to have more than it has, so that one in common is no proof.
DAMPING: Final = np.float32(5.0)


@inner
def write_features(state: State, decay: Real, desk: Desk, row: int, number: int, now: int, out: Array) -> None:
    """out[f] = feature f of item `row`, which is candidate `number` of the desk (-1: none). decay: of neighbours, per ms."""
    for horizon in range(HORIZONS):
        out[horizon] = popularity_of(state.audience, row, horizon, now)
    score = np.float32(0.0)
    solved = np.float32(0.0)
    for f in range(len(desk.z)):
        score += desk.z[f] * state.items.factor[row, f]
        solved += desk.solution[f] * state.solved_items.factor[row, f]
    near = far = following = cosine = peers = np.float32(0.0)
    if number >= 0:
        near = desk.reading[number, NEAR]
        far = desk.reading[number, FAR]
        following = desk.reading[number, NEXT]
        cosine = desk.reading[number, COSINE]
        peers = desk.reading[number, PEERS]
    if cosine > 0:
        length = np.float32(state.neighbours.near_sum[row] / growth(state.neighbours, row, decay, now))
        cosine /= np.sqrt(length + DAMPING)
    peers *= desk.scale[0] / np.sqrt(np.float32(state.items.taught[row]) + DAMPING)
    out[FACTORS] = score
    out[OF_NEAR] = np.log(near + LEAST)
    out[OF_FAR] = np.log(far + LEAST)
    out[OF_NEXT] = np.log(following + LEAST)
    out[OF_COSINE] = np.log(cosine + LEAST)
    out[IDLE] = np.log(np.float32(max(now - state.items.last_time[row], 0) * 1e-3 + 60.0))
    out[AGE] = np.log(np.float32(max(now - state.items.first_time[row], 0) * 1e-3 + 3600.0))
    out[OF_PEERS] = np.log(peers + LEAST_PEERS)
    out[SQUARES] = solved
    out[LOG_SQUARES] = np.log(max(solved, np.float32(0.0)) + LEAST_SOLVED)


@inner
def weigh(weight: Array, feature: Array) -> Real:
    """w·x."""
    score = 0.0
    for f in range(FEATURES):
        score += weight[f] * feature[f]
    return score
