"""An evaluation as lines for a terminal: no line is wider than 100 columns but for names."""

from datetime import UTC, datetime
from textwrap import fill
from typing import Final

from streammf.evaluation.diagnosis import said, said_behind
from streammf.evaluation.evaluate import Evaluation
from streammf.evaluation.profile import Profile
from streammf.evaluation.summary import Lists, Part, Summary

WIDTH: Final = 100
SUITS: Final = {
    "yes": "Matrix factorisation suits this log",
    "doubtful": "Matrix factorisation may suit this log",
    "no": "Matrix factorisation does not suit this log",
}


def as_text(evaluation: Evaluation) -> str:
    """Everything, in the order in which it is of use: what it is, what it means, the figures."""
    parts = [profile_lines(evaluation.profile), "", _wrapped(evaluation.diagnosis.verdict)]
    parts += [_wrapped(f"{found.name}: {found.words}", "! ") for found in evaluation.diagnosis.findings]
    summary = evaluation.summary
    parts += ["", how_measured(summary), *table(summary), "", lists_line(summary.lists)]
    for title, groups in (("events the user had before", summary.by_activity), ("events the item had before", summary.by_age)):
        parts += ["", *group_lines(title, groups, summary)]
    return "\n".join(parts)


def day(moment: int) -> str:
    """ms since the epoch as a day."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d")


def share(part: float | None) -> str:
    """A part of a whole."""
    return "-" if part is None else f"{part:.2%}" if 0.99 < part < 1 else f"{part:.1%}"


def span(profile: Profile) -> str:
    """How long the log is."""
    hours = (profile.until - profile.since) / 3_600_000
    long = f"{hours / 24:,.0f} days" if hours >= 48 else f"{hours:,.1f} hours"
    return f"{day(profile.since)} to {day(profile.until)} ({long})"


def facts(profile: Profile) -> list[tuple[str, str]]:
    """What a log is, name by name."""
    found = [
        ("events", f"{profile.events:,}"),
        ("users, items", f"{profile.users:,}, {profile.items:,}"),
        ("pairs without an event", share(profile.sparsity)),
        ("time", span(profile)),
        ("types", ", ".join(f"{name} {count:,}" for name, count in profile.types.items())),
        ("values", ", ".join(f"{value}: {count:,}" for value, count in profile.values.items())),
        ("repeats of a user and an item", share(profile.repeats)),
        ("behind a later event in the log", share(profile.late)),
        ("at one moment with another of the user", share(profile.tied)),
        ("events of the top fifth of the items", share(profile.head)),
    ]
    if profile.exponent is not None:
        found.append(("exponent of popularity's power law", f"{profile.exponent:.2f}"))
    if profile.rejected:
        found.append(("records that are no events", f"{profile.rejected:,}; the first: {profile.why_rejected}"))
    return found


def profile_lines(profile: Profile) -> str:
    """The log in a few lines."""
    lines = [profile.name, *(f"  {name:<40}{value}" for name, value in facts(profile))]
    return "\n".join([*lines, _wrapped(f"{SUITS[profile.suits]}: {'; '.join(profile.why)}.")])


def how_measured(summary: Summary) -> str:
    """What the table below stands on."""
    which = "each event" if summary.every == 1 else f"one event in {summary.every}"
    if summary.holdout:
        how = f"the last {summary.holdout:,} events were not learned from; of them {which} was tried"
    else:
        how = f"{which} was foretold, then learned from; counted after the first tenth of the log"
    of = "squared errors" if summary.objective == "rating" else summary.measures[0]
    return f"{summary.tried:,} events counted: {how}. {summary.seconds:.1f} s. Behind by: in {of}, on the same events."


def table(summary: Summary) -> list[str]:
    """Methods and measures."""
    head = "".join(f"{measure:>16}" for measure in summary.measures)
    lines = [f"{'':24}{head}{'behind by':>18}"]
    for number, method in enumerate(summary.methods):
        cells = "".join(f"{said(method.figures[measure]):>16}" for measure in summary.measures)
        behind = "" if number == 0 else said_behind(method.behind)
        lines.append(f"  {method.name:<22}{cells}{behind:>18}")
    return lines


def lists_line(lists: Lists) -> str:
    """Coverage, long tail and diversity."""
    return (
        f"{lists.lists:,} lists: {share(lists.coverage)} of the catalogue stood on one, {share(lists.tail)} of their places "
        f"went to the long tail,\neach differs from the one before in {share(lists.diversity)} of its places."
    )


def group_lines(title: str, parts: list[Part], summary: Summary) -> list[str]:
    """The first measure of what serves and of the second method, by groups."""
    measure, names = summary.measures[0], [method.name for method in summary.methods]
    shown = [names[0], *(name for name in ("popularity", "neighbours", "biases") if name in names)]
    lines = [f"{measure} by {title}", f"  {'':<22}{'events':>10}" + "".join(f"{name:>16}" for name in shown)]
    for part in parts:
        cells = "".join(f"{said(part.figures[name][measure]):>16}" for name in shown)
        lines.append(f"  {part.title:<22}{part.events:>10,}{cells}")
    return lines


def _wrapped(text: str, mark: str = "") -> str:
    return fill(text, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark))
