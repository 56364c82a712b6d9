"""What the figures mean, in words, and what to do about it.

Rules of this file:
1. A finding has a condition that is tested, and says the numbers it was found by. Nothing is found within noise.
2. Methods are compared on the same events; SURE standard errors are no noise.
3. A finding is a trouble, or (the verdict) a sentence that holds for every run.
"""

from typing import Final

import msgspec

from streammf.evaluation.summary import Figure, Method, Summary, Window

#: Standard errors.
SURE: Final = 3.0
#: Standard errors where two things must be found at once.
SURE_OF_EACH: Final = 2.0
#: What a training error has to fall and a prequential one to rise by, relative, to be a course and no accident.
COURSE: Final = 0.02
#: Lists that share more than all but this part, and ratings foretold that spread less than this part of the real ones.
ALIKE_LISTS: Final = 0.05
ALIKE_RATINGS: Final = 0.10
#: Relative gain of slower learning on the first part of the log from which on the rates are too high.
TOO_HIGH: Final = 0.05
#: Lists below which nothing is said about them.
FEWEST_LISTS: Final = 20
#: Events tried again in the last third of the log, below which nothing is said of over-fitting.
FEWEST_KNOWN: Final = 60


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong."""

    name: str
    words: str


class Slower(msgspec.Struct, frozen=True):
    """The same model with lower learning rates, on the first events of the log."""

    times: int
    """How many times lower."""
    events: int
    """Tried."""
    usual: float | None
    """The first measure of what is learned with the rates as they are."""
    slower: float | None
    better: Figure
    """By how much the slower one is better, on the same events; for RMSE, in squares."""


class Diagnosis(msgspec.Struct, frozen=True):
    """All that is said of a run."""

    verdict: str
    findings: list[Finding]


def diagnose(summary: Summary, slower: Slower | None = None) -> Diagnosis:
    """Say what a run means."""
    checks = (worse_than_simple(summary), alike(summary), over_fitted(summary), too_fast(summary, slower))
    return Diagnosis(verdict(summary), [found for found in checks if found])


def sure(figure: Figure) -> int:
    """1: above 0 by more than noise; -1: below; 0: neither."""
    if figure.value is None or figure.error is None:
        return 0
    if abs(figure.value) <= SURE * figure.error or figure.value == 0:
        return 0
    return 1 if figure.value > 0 else -1


def best_simple(summary: Summary) -> Method | None:
    """The best of the methods beside what serves; chosen after the fact."""
    measure = summary.measures[0]
    known = [method for method in summary.methods[1:] if method.figures[measure].value is not None]
    sign = 1.0 if summary.objective == "rating" else -1.0
    return min(known, key=lambda method: sign * (method.figures[measure].value or 0.0), default=None)


def said(figure: Figure) -> str:
    """A figure as people read it: ".193 ± .004"."""
    if figure.value is None:
        return "-"
    number = f"{figure.value:.3f}".removeprefix("0") if abs(figure.value) < 1 else f"{figure.value:.3f}"
    return number if figure.error is None else f"{number} ± {f'{figure.error:.3f}'.removeprefix('0')}"


def said_behind(figure: Figure) -> str:
    """By how much a method is worse, as people read it: "+.024 ± .004"."""
    return "-" if figure.value is None else f"{'-' if figure.value < 0 else '+'}{said(Figure(abs(figure.value), figure.error))}"


def verdict(summary: Summary) -> str:
    """What serves, beside the best of the others."""
    measure, served, best = summary.measures[0], summary.methods[0], best_simple(summary)
    own = served.figures[measure]
    if best is None or own.value is None:
        return (
            "No event could be measured: each was of a new item, or of one that its user had had. Try more of them (--every 1)."
        )
    other = best.figures[measure]
    text = f"{measure} {said(own)} over {summary.tried:,} events; the best other method here, {best.name}, has {said(other)}"
    match sure(best.behind):
        case 1:
            gain = abs(own.value / other.value - 1) if other.value else 0.0
            return f"What serves is better than every other method by {gain:.0%}: {text}."
        case -1:
            return f"{best.name} alone is better than what serves: {text}."
        case _:
            more = f" More events tell more: --every {max(1, summary.every // 10)}." if summary.every > 1 else ""
            return f"What serves and {best.name} cannot be told apart on these events: {text}.{more}"


def worse_than_simple(summary: Summary) -> Finding | None:
    """The model foretells worse than popularity (ratings: than a mean)."""
    simple = ("item's mean", "mean of all", "biases") if summary.objective == "rating" else ("popularity",)
    worse = [m for m in summary.methods[1:] if m.name.startswith(simple) and sure(m.behind) < 0]
    if not worse:
        return None
    measure = summary.measures[0]
    worst = min(worse, key=lambda method: method.behind.value or 0.0)
    return Finding(
        "worse than a mean" if summary.objective == "rating" else "worse than popularity",
        f"{worst.name} has {measure} {said(worst.figures[measure])}, the model {said(summary.methods[0].figures[measure])}, "
        "on the same events: serve that instead, or look at the rates, the types of events and their weights.",
    )


def alike(summary: Summary) -> Finding | None:
    """Everybody is told the same."""
    spread, diversity = summary.spread.value, summary.lists.diversity
    if spread is not None and spread < ALIKE_RATINGS:
        return Finding(
            "predictions all alike",
            f"foretold ratings spread by {spread:.1%} of what the real ones do: the model has learned little but the mean. "
            "Raise the rates, or lower regularisation.",
        )
    if diversity is not None and summary.lists.lists >= FEWEST_LISTS and diversity < ALIKE_LISTS:
        return Finding(
            "predictions all alike",
            f"two people's lists differ in {diversity:.1%} of their places: everybody gets what is popular. Too few events a "
            "user, too small rates, or a catalogue hardly longer than the list.",
        )
    return None


def over_fitted(summary: Summary) -> Finding | None:
    """What is known is told better and better, and what is new worse."""
    windows = [window for window in summary.windows if window.again.value is not None and window.part.events]
    third = len(windows) // 3
    if third < 1:
        return None
    last = windows[-third:]
    known_last, new_last = _course(last, summary, again=True), _course(last, summary, again=False)
    if sum(window.known for window in last) < FEWEST_KNOWN:
        return None
    for begin, part in (("middle", windows[third:-third]), ("first third", windows[:third])):
        known, new = _course(part, summary, again=True), _course(part, summary, again=False)
        if _apart(known, known_last) and _apart(new_last, new):
            what = "RMSE" if summary.objective == "rating" else f"misses ({summary.measures[0]})"
            return Finding(
                "over-fitting",
                f"from the {begin} of the log to its end {what} falls from {known[0]:.3f} to {known_last[0]:.3f} on events "
                f"that were learned, and rises from {new[0]:.3f} to {new_last[0]:.3f} on new ones: more regularisation, fewer "
                "factors or rehearsals, or a half-life, if tastes changed.",
            )
    return None


def _apart(high: tuple[float, float], low: tuple[float, float]) -> bool:
    """Whether the first (value, error) is higher, by more than noise and by more than an accident."""
    return bool(high[0] - low[0] > max(COURSE * low[0], SURE_OF_EACH * (high[1] ** 2 + low[1] ** 2) ** 0.5))


def _course(windows: list[Window], summary: Summary, *, again: bool) -> tuple[float, float]:
    """(the mean error of these windows, its standard error); for rankings the share of misses."""
    measure, name = summary.measures[0], summary.methods[0].name
    figures = [window.again if again else window.part.figures[name][measure] for window in windows]
    values = [figure.value or 0.0 for figure in figures]
    errors = [figure.error or 0.0 for figure in figures]
    mean = sum(values) / len(values)
    error = sum(error * error for error in errors) ** 0.5 / len(values)
    return (mean if summary.objective == "rating" else 1 - mean, error)


def too_fast(summary: Summary, slower: Slower | None) -> Finding | None:
    """Lower learning rates do better."""
    if slower is None or slower.usual is None or slower.slower is None or sure(slower.better) <= 0:
        return None
    rating = summary.objective == "rating"
    gain = (slower.usual - slower.slower) / slower.usual if rating else slower.slower / max(slower.usual, 1e-9) - 1
    if gain < TOO_HIGH:
        return None
    return Finding(
        "learning rate too high",
        f"1/{slower.times} of the learning rates has {summary.measures[0]} {slower.slower:.3f} instead of {slower.usual:.3f} "
        f"on the same {slower.events:,} events: lower learning.user_rate, item_rate and history_rate, or try `streammf tune`.",
    )
