"""Two kinds of charts as inline SVG: lines over stream time, and dots with error bars over groups.

Rules of this file:
1. A chart is a text without a reference to anything: colours and fonts are classes of the page it stands in.
2. It is drawn 440 units wide: half of a desk's page, and all of a phone's, where its letters stay readable.
3. A gap in the numbers is a gap in the line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Final

WIDTH: Final = 440
HEIGHT: Final = 250
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 28


@dataclass(frozen=True)
class Series:
    """One line, or one kind of dots."""

    name: str
    values: Sequence[float | None]
    errors: Sequence[float | None] = ()
    """Standard errors; a line has a band of two, a dot a bar of two."""


def lines(series: Sequence[Series], labels: Sequence[str], said: str) -> str:
    """Lines over places of equal width; labels: one a place, of which some are shown. said: for who cannot see it."""
    frame = _Frame(series, len(labels))
    body = [_band(frame, one, colour) for colour, one in enumerate(series) if any(one.errors)]
    body += [_path(frame, one, colour) for colour, one in reversed(list(enumerate(series)))]
    step = max(1, ceil(len(labels) / 4))
    marks = [(frame.x(place), labels[place]) for place in range(0, len(labels), step)]
    return _svg(frame, [*body, *_marks(marks)], said) + _legend(series)


def dots(series: Sequence[Series], labels: Sequence[str], said: str) -> str:
    """Dots side by side in each group."""
    frame = _Frame(series, len(labels))
    body = []
    for colour, one in enumerate(series):
        aside = 12.0 * (colour - (len(series) - 1) / 2)
        for place, value in enumerate(one.values):
            if value is not None:
                error = 2 * ((one.errors[place] if one.errors else None) or 0.0)
                x, high, low = frame.x(place) + aside, frame.y(value + error), frame.y(value - error)
                body.append(f'<path class="c{colour} whisker" d="M{x:.1f} {high:.1f}V{low:.1f}"/>')
                body.append(f'<circle class="c{colour} dot" cx="{x:.1f}" cy="{frame.y(value):.1f}" r="4"/>')
    return _svg(frame, [*body, *_marks([(frame.x(place), label) for place, label in enumerate(labels)])], said) + _legend(
        series
    )


def scatter(points: Sequence[tuple[float, float]], best: int, ends: tuple[str, str], said: str) -> str:
    """Points (place from 0 to 1, value), one of them the best; ends: what the places 0 and 1 are called."""
    frame = _Frame([Series("", [value for _, value in points])], 1)
    wide = WIDTH - LEFT - RIGHT - 20
    body = []
    for number, (place, value) in enumerate(points):
        kind = "c0 dot" if number == best else "c6 dot"
        size = 6 if number == best else 4
        body.append(f'<circle class="{kind}" cx="{LEFT + 10 + place * wide:.1f}" cy="{frame.y(value):.1f}" r="{size}"/>')
    marks = [(LEFT + 10.0, ends[0]), (LEFT + 10.0 + wide / 2, ""), (LEFT - 6.0 + wide, ends[1])]
    return _svg(frame, [*body, *_marks(marks)], said)


class _Frame:
    """Where numbers stand."""

    def __init__(self, series: Sequence[Series], places: int) -> None:
        values = [value for one in series for value in _reached(one)]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if low >= 0 and (high == low or low < 0.6 * high):
            low = 0.0
        high = high if high > low else low + 1.0
        self.step = _step((high - low) / 4)
        self.low = floor(low / self.step + 1e-9) * self.step
        self.high = ceil(high / self.step - 1e-9) * self.step
        self.places = places

    def x(self, place: int) -> float:
        """The middle of a place."""
        return LEFT + (place + 0.5) * (WIDTH - LEFT - RIGHT) / self.places

    def y(self, value: float) -> float:
        """Upside down, and within the frame."""
        part = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> list[str]:
        """Lines and numbers of the left axis."""
        found = []
        digits = max(0, -floor(log10(self.step) + 1e-9))
        for n in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + n * self.step
            y = self.y(value)
            found.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            found.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>')
        return found


def _reached(one: Series) -> Iterator[float]:
    """Every number that is drawn, ends of bars and bands included; none of ours is below 0."""
    for place, value in enumerate(one.values):
        if value is not None and isfinite(value):
            error = 2 * ((one.errors[place] if one.errors else None) or 0.0)
            yield max(value - error, 0.0)
            yield value + error


def _step(least: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is no less."""
    power = 10.0 ** floor(log10(least))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= least * (1 - 1e-9))


def _path(frame: _Frame, one: Series, colour: int) -> str:
    parts, pen = [], "M"
    for place, value in enumerate(one.values):
        if value is None or not isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{frame.x(place):.1f} {frame.y(value):.1f}")
        pen = "L"
    return f'<path class="c{colour} line" d="{"".join(parts)}"/>' if parts else ""


def _band(frame: _Frame, one: Series, colour: int) -> str:
    known = [
        (frame.x(place), value, 2 * (error or 0.0))
        for place, (value, error) in enumerate(zip(one.values, one.errors, strict=True))
        if value is not None
    ]
    if len(known) < 2:
        return ""
    edge = [f"{x:.1f} {frame.y(value + error):.1f}" for x, value, error in known]
    edge += [f"{x:.1f} {frame.y(value - error):.1f}" for x, value, error in reversed(known)]
    return f'<path class="c{colour} band" d="M{"L".join(edge)}Z"/>'


def _marks(marks: Sequence[tuple[float, str]]) -> list[str]:
    return [f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>' for x, label in marks]


def _svg(frame: _Frame, body: Sequence[str], said: str) -> str:
    inside = "".join([*frame.grid(), *body])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">{inside}</svg>'


def _legend(series: Sequence[Series]) -> str:
    entries = (f'<li><i class="c{colour}"></i>{escape(one.name)}</li>' for colour, one in enumerate(series))
    return f'<ul class="legend">{"".join(entries)}</ul>'
