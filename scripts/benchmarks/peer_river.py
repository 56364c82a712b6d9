"""River's BiasedMF, with the settings of its own MovieLens example but for the number of factors, which is ours."""

import time

import numpy as np
from river import optim, reco

from scripts.benchmarks.data import Events
from scripts.benchmarks.settings import FACTORS, RIVER_BIAS_RATE, RIVER_FIRST, RIVER_RATE


def model(seed: int = 73) -> reco.BiasedMF:
    """The model, which has learned nothing yet."""
    return reco.BiasedMF(
        n_factors=FACTORS,
        bias_optimizer=optim.SGD(RIVER_BIAS_RATE),
        latent_optimizer=optim.SGD(RIVER_RATE),
        weight_initializer=optim.initializers.Zeros(),
        latent_initializer=optim.initializers.Normal(mu=0.0, sigma=RIVER_FIRST, seed=seed),
    )


def learn(events: Events) -> float:
    """Learn from all events, which stand ready in memory; seconds."""
    learner = model()
    values = events.values.tolist()
    began = time.perf_counter()
    for user, item, value in zip(events.users, events.items, values, strict=True):
        learner.learn_one(user=user, item=item, y=value)
    return time.perf_counter() - began


def rmse(events: Events, seed: int = 73) -> float:
    """Of ratings that are each foretold, within 1 to 5, and then learned from."""
    learner = model(seed)
    off = np.empty(len(events))
    for n, (user, item, value) in enumerate(zip(events.users, events.items, events.values.tolist(), strict=True)):
        off[n] = min(max(learner.predict_one(user=user, item=item), 1.0), 5.0) - value
        learner.learn_one(user=user, item=item, y=value)
    return float(np.sqrt(np.mean(off * off)))
