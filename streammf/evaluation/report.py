"""An evaluation as a page: the verdict in words, the figures, quality over stream time, by what was known, and the lists.

Rules of this file:
1. What serves is the first line of every chart, and the thick one; it stands beside the methods that people ask about.
2. Every chart says below it how to read it.
"""

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from streammf import __version__
from streammf.evaluation import charts
from streammf.evaluation.charts import Series
from streammf.evaluation.diagnosis import said, said_behind
from streammf.evaluation.evaluate import Evaluation
from streammf.evaluation.page import card, cards, facts, heading, page, paragraph, table
from streammf.evaluation.summary import Part, Summary, Window
from streammf.evaluation.text import SUITS, how_measured, share
from streammf.evaluation.text import facts as profile_facts
from streammf.learning.options import LearningOptions

#: Methods that a chart shows beside what serves, where there are such, and the most of them.
ASKED_FOR: Final = ("neighbours", "factors + popularity", "least squares", "factors", "biases", "item's mean", "mean of all")
MOST_LINES: Final = 5


def report(evaluation: Evaluation) -> str:
    """The page."""
    summary, diagnosis, profile = evaluation.summary, evaluation.diagnosis, evaluation.profile
    title = f"StreamMF: {summary.objective} on {Path(profile.name).name}"
    measure = summary.measures[0]
    findings = [f'<div class="finding"><h3>{found.name}</h3>{paragraph(found.words)}</div>' for found in diagnosis.findings]
    none = '<div class="finding fine">' + paragraph("No trouble was found.") + "</div>"
    body = [
        f"<h1>{escape(title)}</h1>",
        paragraph(diagnosis.verdict, "verdict"),
        *(findings or [none]),
        heading("Methods, on the same events"),
        table(["", *summary.measures, "behind by"], method_rows(summary)),
        paragraph(how_measured(summary), "soft"),
        heading("Over stream time"),
        cards(over_time(summary, measure)),
        heading("By how much was known"),
        cards([grouped(summary, summary.by_activity, "user"), grouped(summary, summary.by_age, "item")]),
        heading("The log"),
        paragraph(f"{SUITS[profile.suits]}: {'; '.join(profile.why)}."),
        facts(profile_facts(profile)),
        heading("Settings that differ from the defaults"),
        facts(differing(evaluation.learning)) if differing(evaluation.learning) else paragraph("None."),
        paragraph(f"streammf {__version__} evaluate", "soft"),
    ]
    return page(title, body)


def method_rows(summary: Summary) -> list[list[str]]:
    """One row a method."""
    rows = []
    for number, method in enumerate(summary.methods):
        worse = said_behind(method.behind) if number else ""
        rows.append([method.name, *(said(method.figures[measure]) for measure in summary.measures), worse])
    return rows


def compared(summary: Summary) -> list[str]:
    """What serves, the best popularity, and the others that people ask about."""
    measure = summary.measures[0]
    popular = [method for method in summary.methods if method.name.startswith("popularity")]
    best = max(popular, key=lambda method: method.figures[measure].value or 0.0, default=None)
    names = {method.name for method in summary.methods}
    found = [summary.methods[0].name, *([best.name] if best else []), *(name for name in ASKED_FOR if name in names)]
    return found[:MOST_LINES]


def over_time(summary: Summary, measure: str) -> list[str]:
    """The charts whose places are stretches of the log."""
    windows = summary.windows
    labels = stamps(windows)
    found = []
    for number, name in enumerate(summary.measures):
        series = []
        for method in compared(summary):
            figures = [window.part.figures[method][name] for window in windows]
            errors = [figure.error for figure in figures] if method == summary.methods[0].name else []
            series.append(Series(method, [figure.value for figure in figures], errors))
        less = "Lower is better." if summary.objective == "rating" else "Higher is better."
        note = f"{less} Each place is as many events; the band is two standard errors." if number == 0 else ""
        found.append(card(name, charts.lines(series, labels, f"{name} over stream time, by method"), note))
    known = [Series("new events", [w.part.figures[summary.methods[0].name][measure].value for w in windows])]
    known.append(Series("events that were learned already", [window.again.value for window in windows]))
    note = "Over-fitting is when the second line goes on improving while the first gets worse."
    if any(value is not None for value in known[1].values):
        found.append(card(f"{measure}: known and new", charts.lines(known, labels, f"{measure} on known and new events"), note))
    lists = [
        Series("catalogue covered", [window.lists.coverage for window in windows]),
        Series("long tail", [window.lists.tail for window in windows]),
        Series("differs from the list before", [window.lists.diversity for window in windows]),
    ]
    whole = summary.lists
    note = f"Over the whole log {share(whole.coverage)} of the catalogue stood on one of {whole.lists:,} lists."
    found.append(card("Lists that were served", charts.lines(lists, labels, "Lists over stream time"), note))
    return found


def stamps(windows: list[Window]) -> list[str]:
    """When each begins: a day, or a time of day in short logs."""
    short = windows[-1].until - windows[0].since < 3 * 86_400_000 if windows else False
    form = "%d %H:%M" if short else "%Y-%m-%d"
    return [datetime.fromtimestamp(window.since / 1000, UTC).strftime(form) for window in windows]


def grouped(summary: Summary, parts: list[Part], what: str) -> str:
    """The first measure by what was known of users, or of items."""
    measure = summary.measures[0]
    known = [part for part in parts if part.events]
    series = []
    for method in compared(summary)[:3]:
        figures = [part.figures[method][measure] for part in known]
        series.append(Series(method, [figure.value for figure in figures], [figure.error for figure in figures]))
    said_so = f"{measure} by the events that the {what} had before"
    counts = ", ".join(f"{part.title}: {part.events:,}" for part in known)
    content = charts.dots(series, [part.title for part in known], said_so) if known else paragraph("No event was counted.")
    return card(said_so, content, f"Bars are two standard errors. Events: {counts}." if known else "")


def differing(learning: dict[str, Any]) -> list[tuple[str, str]]:
    """Settings that are not the objective's defaults."""
    usual = msgspec.to_builtins(LearningOptions(objective=learning["objective"]))
    return [(f"learning.{name}", str(value)) for name, value in learning.items() if value != usual[name]]
