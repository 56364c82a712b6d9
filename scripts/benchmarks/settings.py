"""What is learned in each setting that is measured, and how a process of ours is told.

`plain` is what River's BiasedMF learns: biased matrix factorisation by single gradient steps, without history, rehearsal,
regularisation or decay, at the rates of River's own MovieLens example: SGD(0.025) for biases, SGD(0.05) for vectors. River's
squared loss has the gradient 2 (r̂ - r), ours r̂ - r, so ours are twice those. On a scale of 1 to 5 both count in the same unit.
`unblended`: ranking by gradient factors alone, without the blend and all that it weighs.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from streammf.learning.options import LearningOptions

Setting = Literal["plain", "rating", "ranking", "unblended"]

#: Numbers in each vector, of all settings and of River.
FACTORS: Final = 32
RIVER_BIAS_RATE: Final = 0.025
RIVER_RATE: Final = 0.05
RIVER_FIRST: Final = 0.1

#: What each setting says beside the defaults.
SAID: Final[dict[Setting, dict[str, str | float]]] = {
    "plain": {
        "objective": "rating",
        "history": 0,
        "rehearsals": 0,
        "user_rate": 2 * RIVER_RATE,
        "item_rate": 2 * RIVER_RATE,
        "bias_rate": 2 * RIVER_BIAS_RATE,
        "bias_prior": 1e6,  # 1 / (n + prior) is below any rate: bias steps have one size from the first on
        "regularisation": 0.0,
        "bias_regularisation": 0.0,
        "user_half_life": 0.0,
        "late_half_life": 0.0,
        "stack": False,
    },
    "rating": {"objective": "rating"},
    "ranking": {"objective": "ranking"},
    "unblended": {"objective": "ranking", "blend": False},
}


def learning(setting: Setting) -> LearningOptions:
    """The options of a setting."""
    return msgspec.convert({"factors": FACTORS, **SAID[setting]}, LearningOptions)


def variables(setting: Setting, address: str, topic: str, folder: Path, live: Path) -> dict[str, str]:
    """The environment of a process that learns `topic` in a setting, with its store in `folder`."""
    said = {
        "source__kind": "kafka",
        "source__bootstrap_servers": address,
        "source__topics": topic,
        "store__path": str(folder / "store"),
        "live__path": str(live),
        "learning__factors": str(FACTORS),
        **{f"learning__{name}": str(value).lower() for name, value in SAID[setting].items()},  # true and false are lower case
    }
    return {f"STREAMMF_{name}".upper(): value for name, value in said.items()}
