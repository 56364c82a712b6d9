"""Small live models for tests: two tastes that share nothing, so that everybody can tell who should get what."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.header import Header, Status
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.model import Model
from streammf.state.options import Limits
from streammf.state.view import View

BEGINNING = 1_700_000_000_000
RED = [f"red{n}" for n in range(12)]
BLUE = [f"blue{n}" for n in range(12)]


class LiveModel:
    """A trainer without a log: learns what it is told, and publishes."""

    def __init__(self, base: Path, **options: Any) -> None:
        ready()
        self.base = base
        learning = LearningOptions(**{"factors": 8, "history": 8, "recent": 500, "blend": False, **options})
        self.writer = LiveWriter(base, learning, Limits(10_000, 10_000))
        self.model = Model(learning, self.writer.memory, self.writer.users, self.writer.items)
        self.writer.memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))

    def learn(self, events: Sequence[tuple[str, str]], value: float = 1.0, kind: str = "click") -> "LiveModel":
        """(user, item) each, a second apart."""
        first, n = self.model.events, len(events)
        offsets = np.arange(first, first + n, dtype=np.int64)
        self.model.learn(
            [user for user, _ in events], [item for _, item in events], [kind] * n, np.full(n, value, np.float32),
            BEGINNING + 1000 * offsets, np.zeros(n, np.int32), offsets,
        )  # fmt: skip
        return self

    def publish(self, status: Status = "learning") -> "LiveModel":
        self.writer.publish(
            Header(
                status=status, events=self.model.events, clock=self.model.clock,
                positions=[("events", 0, self.model.events)], rejected=2, committed_events=3,
            )
        )  # fmt: skip
        return self

    @property
    def view(self) -> View:
        return LiveReader(self.base).view()


def two_tastes(base: Path, **options: Any) -> LiveModel:
    """Twenty people with one of two tastes, each of whom has had 8 of the 12 items of that taste."""
    random = np.random.default_rng(7)
    events = []
    for n in range(10):
        for taste, items in (("red", RED), ("blue", BLUE)):
            events += [(f"{taste} {n}", items[place]) for place in random.permutation(12)[:8]]
    order = random.permutation(len(events))
    live = LiveModel(base, **options)
    for _ in range(5):
        live.learn([events[place] for place in order])
    return live.publish()
