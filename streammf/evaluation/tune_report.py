"""What a search found: in words, as a settings file, and as a page.

Rules of this file:
1. What was no better than the configuration as it was is said so, and the settings file then changes nothing: the found
   settings stand in it as comments.
2. A number in the settings file is one that a person could have written: three digits.
"""

from collections.abc import Callable
from html import escape
from math import log10
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import msgspec

from streammf.evaluation import charts
from streammf.evaluation.charts import Series
from streammf.evaluation.diagnosis import said, said_behind
from streammf.evaluation.page import card, cards, heading, page, paragraph, table
from streammf.evaluation.space import Knob
from streammf.evaluation.text import WIDTH
from streammf.evaluation.tune import CONFIRMED, SEARCHED, Row, Tuned
from streammf.learning.options import LearningOptions

#: Trials that a table shows beside the settings as they were.
SHOWN: Final = 4


def conclusion(tuned: Tuned) -> str:
    """One sentence on whether to change anything."""
    on = f"on the last {1 - CONFIRMED[0]:.0%} of the log, which no trial has seen ({tuned.events:,} events)"
    figures = f"{tuned.measure} {said(tuned.found)} instead of {said(tuned.usual)} {on}"
    if tuned.best.usual:
        return f"None of {len(tuned.trials)} trials was better than the settings as they are: keep them."
    by = f"{'squares differ by' if tuned.measure == 'rmse' else 'the difference is'} {said_behind(tuned.better)}"
    if tuned.beats:
        return f"The best of {len(tuned.trials)} trials is better than the settings as they were: {figures}; {by}."
    return f"The best of {len(tuned.trials)} trials is no better than the settings as they are, keep them: {figures}; {by}."


def short(value: float) -> float | int:
    """As a person would write it."""
    return value if isinstance(value, int) else float(f"{value:.3g}")


def settings_file(tuned: Tuned, options: LearningOptions, toml: Callable[[object], str]) -> str:
    """A TOML to start from."""
    usual = msgspec.to_builtins(LearningOptions(objective=options.objective))
    base = msgspec.to_builtins(options)
    kept: dict[str, Any] = {name: value for name, value in base.items() if value != usual[name] or name == "objective"}
    found = {name: short(value) for name, value in tuned.best.settings.items()}
    mark = "" if tuned.beats else "# "
    lines = [f"# {conclusion(tuned)}", "[learning]"]
    lines += [f"{name} = {toml(value)}" for name, value in kept.items() if not (tuned.beats and name in found)]
    lines += [f"{mark}{name} = {toml(value)}" for name, value in found.items()]
    return "\n".join(lines) + "\n"


def best_rows(tuned: Tuned) -> list[Row]:
    """The best trials, the best first."""
    sign = 1.0 if tuned.measure == "rmse" else -1.0
    return sorted(tuned.trials, key=lambda row: (sign * row.value, row.number))[:SHOWN]


def beside(tuned: Tuned) -> list[list[str]]:
    """A table, settings downwards: the best trials, and last the settings as they were."""
    chosen = [row for row in best_rows(tuned) if not row.usual] + [row for row in tuned.trials if row.usual]
    lines = [["trial", *("as it was" if row.usual else str(row.number) for row in chosen)]]
    lines.append([tuned.measure, *(f"{row.value:.4f}" for row in chosen)])
    lines += [[name, *(f"{short(row.settings[name]):g}" for row in chosen)] for name in tuned.best.settings]
    return lines


def as_text(tuned: Tuned) -> str:
    """For a terminal."""
    lines = [f"The best trials, and last the settings as they were, by the {_searched()}:"]
    lines += [f"  {line[0]:<24}" + "".join(f"{cell:>11}" for cell in line[1:]) for line in beside(tuned)]
    return "\n".join([*lines, "", fill(conclusion(tuned), WIDTH)])


def report(tuned: Tuned, name: str, knobs: list[Knob]) -> str:
    """A page."""
    sign = 1.0 if tuned.measure == "rmse" else -1.0
    best: list[float | None] = []
    for row in tuned.trials:
        held = best[-1] if best else None
        best.append(row.value if held is None or sign * row.value < sign * held else held)
    series = [Series("best so far", best), Series("each trial", [row.value for row in tuned.trials])]
    labels = [str(row.number) for row in tuned.trials]
    head, *cells = beside(tuned)
    title = f"StreamMF: search on {Path(name).name}"
    body = [
        f"<h1>{escape(title)}</h1>",
        paragraph(conclusion(tuned), "verdict"),
        heading("Trials"),
        cards(
            [card(f"{tuned.measure}, trial by trial", charts.lines(series, labels, "trial by trial"), f"By the {_searched()}.")]
        ),
        heading("The best"),
        table(head, [[name.replace("_", " "), *line] for name, *line in cells]),
        heading("Setting by setting"),
        cards([_scatter(tuned, knob) for knob in knobs]),
    ]
    return page(title, body)


def _scatter(tuned: Tuned, knob: Knob) -> str:
    """Every trial's value over one setting."""

    def place(value: float) -> float:
        low, high, own = (log10(x) if knob.log else x for x in (knob.low, knob.high, value))
        return (own - low) / (high - low) if high > low else 0.5

    points = [(place(row.settings[knob.name]), row.value) for row in tuned.trials]
    best = tuned.trials.index(next(row for row in tuned.trials if row.number == tuned.best.number))
    drawn = charts.scatter(points, best, (f"{short(knob.low):g}", f"{short(knob.high):g}"), f"{tuned.measure} by {knob.name}")
    return card(f"learning.{knob.name}" + (" (log)" if knob.log else ""), drawn)


def _searched() -> str:
    return f"events from {SEARCHED[0]:.0%} to {SEARCHED[1]:.0%} of the log"
