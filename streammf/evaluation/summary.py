"""Figures of what was tried: overall, over stream time, by how much was known; all NumPy on columns.

Rules of this file:
1. The first tenth of the log is shown over time and counts for nothing else: nothing has learned much by then.
2. A standard error takes one person's events for one observation of several parts: they are not independent.
3. A difference between two methods is that of the same events, so most of what makes events hard drops out of its error.
"""

from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.earlier import earlier_counts
from streammf.evaluation.run import Tried
from streammf.evaluation.whole_log import WholeLog

Floats = NDArray[np.float64]
#: A ranking is judged by its first so many items.
K: Final = 10
#: The first part of the log that counts for nothing but the course over time.
WARM_UP: Final = 0.1
#: Windows of stream time, and how many tried events each should have before there are as many.
MOST_WINDOWS: Final = 20
LEAST_WINDOWS: Final = 4
EVENTS_A_WINDOW: Final = 50
#: Borders between groups: events that a user, or an item, had before.
BORDERS: Final = (0, 1, 4, 16, 64)
#: The most popular part of the catalogue; all others are the long tail.
HEAD: Final = 0.2


class Figure(msgspec.Struct, frozen=True):
    """A mean over events, or the root of one."""

    value: float | None
    """None: of no event."""
    error: float | None
    """Standard error; None: of one person's events alone, which tell nothing of others."""


class Method(msgspec.Struct, frozen=True):
    """One way of foretelling."""

    name: str
    figures: dict[str, Figure]
    """Measure → over all counted events."""
    behind: Figure
    """How much the method's first measure is worse than that of what serves; for RMSE, in squares."""


class Part(msgspec.Struct, frozen=True):
    """Some of the tried events: a window of time, or what people or items have in common."""

    title: str
    events: int
    figures: dict[str, dict[str, Figure]]
    """Method → measure → over these events."""


class Lists(msgspec.Struct, frozen=True):
    """The lists that were looked at."""

    lists: int
    coverage: float | None
    """Part of the catalogue that stood on any of them."""
    tail: float | None
    """Part of their places that went to items outside the most popular fifth."""
    diversity: float | None
    """Part of a list that the one before it, somebody else's, did not hold."""


class Window(msgspec.Struct, frozen=True):
    """A stretch of the log."""

    since: int
    """ms since the epoch, of its first event."""
    until: int
    part: Part
    again: Figure
    """The first measure of what serves, on events of this window that it had learned from already."""
    known: int
    """How many these were."""
    lists: Lists


class Summary(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    objective: str
    measures: tuple[str, ...]
    tried: int
    """Events that count."""
    every: int
    """One event in so many was tried."""
    holdout: int
    """Events at the end that were not learned from; 0: each was, once it had been tried."""
    methods: list[Method]
    """The first is what serves."""
    windows: list[Window]
    by_activity: list[Part]
    """By the events that the user had before."""
    by_age: list[Part]
    """By the events that the item had before."""
    lists: Lists
    spread: Figure
    """Rating: the standard deviation of what was foretold, as a part of that of the ratings."""
    seconds: float


MEASURES: Final = {"ranking": (f"recall@{K}", f"ndcg@{K}", f"mrr@{K}"), "rating": ("rmse", "mae")}


def summarise(log: WholeLog, tried: Tried) -> Summary:
    """All figures of a run."""
    found = _Found(log, tried)
    holdout = len(log) - tried.learned
    counts = np.ones(len(tried.at), np.bool_) if holdout else tried.at >= int(WARM_UP * len(log))
    return Summary(
        objective=tried.objective,
        measures=MEASURES[tried.objective],
        tried=int(counts.sum()),
        every=tried.every,
        holdout=holdout,
        methods=found.methods(counts),
        windows=found.windows(tried.learned if holdout else 0),
        by_activity=found.groups(earlier_counts(log.user)[tried.at], counts),
        by_age=found.groups(earlier_counts(log.item)[tried.at], counts),
        lists=found.lists(0, len(log)),
        spread=found.spread(counts),
        seconds=tried.seconds,
    )


def per_event(objective: str, score: Floats, value: Floats) -> dict[str, Floats]:
    """Measure → what each event adds to it, of the shape of score. value: (m, 1) the events' own, for ratings."""
    if objective == "rating":
        off = score - value
        return {"rmse": off * off, "mae": np.abs(off)}
    first = (score < K).astype(np.float64)
    return {f"recall@{K}": first, f"ndcg@{K}": first / np.log2(score + 2), f"mrr@{K}": first / (score + 1)}


def mean_of(values: Floats, users: NDArray[np.int32]) -> Figure:
    """The mean and its error, people taken for the observations."""
    return means_of(values[:, None], numbered(users))[0]


def numbered(users: NDArray[np.int32]) -> NDArray[np.int32] | NDArray[np.int64]:
    """People as numbers to count by: their rows, unless most of these are others'."""
    if not len(users) or int(users.max()) < 4 * len(users):
        return users
    return np.unique(users, return_inverse=True)[1]


def means_of(values: Floats, people: NDArray[np.int32] | NDArray[np.int64]) -> list[Figure]:
    """The same for each column; people: numbers from 0 on."""
    if not len(values):
        return [Figure(None, None)] * values.shape[1]
    many = int(np.count_nonzero(np.bincount(people)))
    found = []
    for column in values.T:
        mean = float(column.mean())
        off = np.bincount(people, column - mean)
        error = float(np.sqrt(np.sum(off * off) * many / (many - 1)) / len(column)) if many > 1 else None
        found.append(Figure(mean, error))
    return found


def root(figure: Figure) -> Figure:
    """Of a mean of squares."""
    if figure.value is None:
        return figure
    value = float(np.sqrt(figure.value))
    return Figure(value, figure.error if figure.error is None or value == 0 else figure.error / (2 * value))


class _Found:
    """What was tried, with what each event adds to each measure."""

    def __init__(self, log: WholeLog, tried: Tried) -> None:
        self._log, self._tried = log, tried
        self._users = log.user[tried.at]
        self._adds = per_event(tried.objective, tried.score, log.value[tried.at].astype(np.float64)[:, None])
        events = np.bincount(log.item, minlength=log.items.count)
        self._in_tail = np.ones(log.items.count, np.bool_)
        self._in_tail[np.argsort(-events, kind="stable")[: int(np.ceil(HEAD * log.items.count))]] = False

    def part(self, title: str, chosen: NDArray[np.bool_]) -> Part:
        """All methods over some events."""
        at = np.flatnonzero(chosen)
        people = numbered(self._users[at])
        figures: dict[str, dict[str, Figure]] = {name: {} for name in self._tried.methods}
        for measure, adds in self._adds.items():
            for name, found in zip(self._tried.methods, means_of(adds[at], people), strict=True):
                figures[name][measure] = root(found) if measure == "rmse" else found
        return Part(title, len(at), figures)

    def methods(self, chosen: NDArray[np.bool_]) -> list[Method]:
        """Every method, with how it compares to what serves."""
        at = np.flatnonzero(chosen)
        adds = self._adds[MEASURES[self._tried.objective][0]][at]
        worse = adds - adds[:, :1] if self._tried.objective == "rating" else adds[:, :1] - adds
        behind = means_of(worse, numbered(self._users[at]))
        figures = self.part("", chosen).figures
        return [Method(name, figures[name], off) for name, off in zip(self._tried.methods, behind, strict=True)]

    def groups(self, before: NDArray[np.int64], counts: NDArray[np.bool_]) -> list[Part]:
        """Parts by a number of events."""
        parts = []
        for low, high in zip(BORDERS, (*BORDERS[1:], None), strict=True):
            chosen = counts & (before >= low) & (before < (high or np.inf))
            title = f"{low} or more" if high is None else str(low) if high == low + 1 else f"{low}-{high - 1}"
            parts.append(self.part(title, chosen))
        return parts

    def windows(self, first: int) -> list[Window]:
        """Stretches of as many events each, from place `first` on."""
        log, tried = self._log, self._tried
        number = int(np.clip(len(tried.at) // EVENTS_A_WINDOW, LEAST_WINDOWS, MOST_WINDOWS))
        edges = np.linspace(first, len(log), min(number, len(log) - first) + 1).astype(int).tolist()
        found = []
        for start, end in pairwise(edges):
            since, until = int(log.time[start]), int(log.time[end - 1])
            part = self.part("", (tried.at >= start) & (tried.at < end))
            again, known = self._again(start, end)
            found.append(Window(since, until, part, again, known, self.lists(start, end)))
        return found

    def _again(self, start: int, end: int) -> tuple[Figure, int]:
        tried = self._tried
        chosen = (tried.again_at >= start) & (tried.again_at < end) & (tried.again >= 0)
        at = tried.again_at[chosen]
        adds = per_event(tried.objective, tried.again[chosen], self._log.value[at].astype(np.float64))
        measure = MEASURES[tried.objective][0]
        found = mean_of(adds[measure], self._log.user[at])
        return (root(found) if measure == "rmse" else found), len(at)

    def lists(self, start: int, end: int) -> Lists:
        """The lists of a stretch of the log."""
        chosen = (self._tried.listed_at >= start) & (self._tried.listed_at < end)
        listed, users = self._tried.listed[chosen], self._log.user[self._tried.listed_at[chosen]]
        places = listed[listed >= 0]
        if not len(places):
            return Lists(len(listed), None, None, None)
        other = users[1:] != users[:-1]
        shared = ((listed[1:, :, None] == listed[:-1, None, :]) & (listed[1:, :, None] >= 0)).any(2).sum(1)
        new = 1 - shared / np.maximum((listed[1:] >= 0).sum(1), 1)
        coverage = len(np.unique(places)) / self._log.items.count
        tail = float(self._in_tail[places].mean())
        return Lists(len(listed), coverage, tail, float(new[other].mean()) if other.any() else None)

    def spread(self, counts: NDArray[np.bool_]) -> Figure:
        """See Summary."""
        values = self._log.value[self._tried.at[counts]]
        if self._tried.objective != "rating" or not len(values) or values.std() == 0:
            return Figure(None, None)
        return Figure(float(self._tried.score[counts, 0].std() / values.std()), None)
