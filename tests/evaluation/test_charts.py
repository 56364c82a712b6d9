"""Charts stand within their frame, leave gaps where numbers are missing, and refer to nothing."""

import re
from xml.etree import ElementTree

import pytest

from streammf.evaluation.charts import HEIGHT, WIDTH, Series, dots, lines
from streammf.evaluation.page import page, table


def drawing(chart: str) -> ElementTree.Element:
    """The SVG, parsed."""
    return ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


SERIES = [Series("served", [0.1, None, 0.3, 0.25], [0.02, None, 0.05, 0.04]), Series("<odd>", [0.2, 0.2, 0.2, 0.2])]


@pytest.mark.parametrize("draw", [lines, dots])
def test_everything_stands_within_the_frame(draw: object) -> None:
    chart = (lines if draw is lines else dots)(SERIES, ["a", "b", "c", "d"], "what it says")
    numbers = [
        (float(x), float(y))
        for path in drawing(chart).iter("path")
        for x, y in re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    ]
    assert len(numbers) > 10
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in numbers)
    assert "&lt;odd&gt;" in chart
    assert "<odd>" not in chart


def test_a_missing_number_is_a_gap_in_the_line() -> None:
    path = next(
        p
        for p in drawing(lines(SERIES, list("abcd"), "")).iter("path")
        if "line" in p.get("class", "") and "c0" in p.get("class", "")
    )
    assert path.get("d", "").count("M") == 2
    assert path.get("d", "").count("L") == 1


def test_the_higher_number_stands_higher() -> None:
    path = next(p for p in drawing(lines([Series("a", [0.1, 0.4])], ["", ""], "")).iter("path") if "line" in p.get("class", ""))
    (_, first), (_, second) = re.findall(r"([\d.]+) ([\d.]+)", path.get("d", ""))
    assert float(second) < float(first)


def test_charts_of_no_number_are_drawn_all_the_same() -> None:
    assert "<svg" in lines([Series("a", [None, None])], ["x", "y"], "")
    assert "<svg" in dots([Series("a", [0.0])], ["x"], "")


def test_a_page_escapes_what_it_is_given() -> None:
    made = page("<b>", [table(["<i>"], [["1 ± 2", "<u>"]])])
    assert "<b>" not in made
    assert "<u>" not in made
    assert "<small>± 2</small>" in made
