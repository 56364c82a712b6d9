"""Every figure of an evaluation against a slow and independent one, event by event."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streammf.evaluation.run import Plan, run
from streammf.evaluation.summary import Figure, Lists, Part, Summary, summarise
from streammf.evaluation.triers import compile_for
from streammf.evaluation.whole_log import WholeLog
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from tests.evaluation import logs, slow

SMALL: dict[str, Any] = {"factors": 6, "history": 8, "recent": 500}
CHOICES = {
    "plain": LearningOptions(blend=False, **SMALL),
    "blend": LearningOptions(blend=True, neighbours=12, peers=8, **SMALL),
    "rating": LearningOptions(objective="rating", stack=False, **SMALL),
}
BORDERS = ((0, 0), (1, 3), (4, 15), (16, 63), (64, 10**9))


class Both:
    """A log, evaluated twice."""

    def __init__(self, folder: Path, options: LearningOptions, every: int, holdout: float = 0.0) -> None:
        compile_for(options)
        ready()
        rating = options.objective == "rating"
        self.log: WholeLog = logs.read((logs.ratings if rating else logs.clicks)(folder), options)
        self.split = len(self.log) - round(holdout * len(self.log))
        self.summary: Summary = summarise(self.log, run(self.log, options, Plan(every=every, holdout=holdout)))
        if rating:
            self.slow = slow.rate_all(self.log, options)
        else:
            self.slow = slow.rank_all(self.log, options, every, self.split if holdout else None)
        self.counted = slow.counted(self.log, self.slow, holdout > 0)
        self.holdout = holdout > 0


@pytest.fixture(scope="module", params=["plain", "blend", "rating", "held out", "blend held out"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    name = request.param
    folder = tmp_path_factory.mktemp("log")
    if name.endswith("held out"):
        return Both(folder, CHOICES["blend" if name.startswith("blend") else "plain"], every=2, holdout=0.2)
    return Both(folder, CHOICES[name], every=1 if name == "rating" else 4)


def near(found: Figure, wanted: tuple[float | None, float | None]) -> None:
    assert (found.value, found.error) == (
        pytest.approx(wanted[0], abs=1e-6) if wanted[0] is not None else None,
        pytest.approx(wanted[1], abs=1e-6) if wanted[1] is not None else None,
    )


def same_part(both: Both, part: Part, tried: list[slow.Tried]) -> None:
    assert part.events == len(tried)
    for method, figures in enumerate(part.figures.values()):
        for measure, found in figures.items():
            near(found, slow.over(both.log, tried, measure, method))


def test_figures_and_differences_of_every_method(both: Both) -> None:
    assert both.summary.tried == len(both.counted) > 100
    for number, method in enumerate(both.summary.methods):
        for measure, found in method.figures.items():
            near(found, slow.over(both.log, both.counted, measure, number))
        near(method.behind, slow.behind(both.log, both.counted, both.summary.measures[0], number))


def test_groups_by_what_users_and_items_had_before(both: Both) -> None:
    for parts, rows in ((both.summary.by_activity, both.log.user), (both.summary.by_age, both.log.item)):
        assert sum(part.events for part in parts) == both.summary.tried
        for part, (least, most) in zip(parts, BORDERS, strict=True):
            same_part(both, part, [e for e in both.counted if least <= slow.had_before(rows, e.place) <= most])


def places(both: Both) -> list[tuple[int, int]]:
    """Where each window begins and ends."""
    first, last = (both.split if both.holdout else 0), len(both.log)
    number = len(both.summary.windows)
    assert number == min(20, max(4, len(both.slow.tried) // 50))
    edges = [int(first + (last - first) * n / number) for n in range(number + 1)]
    return list(pairwise(edges))


def test_windows_of_stream_time(both: Both) -> None:
    for window, (first, last) in zip(both.summary.windows, places(both), strict=True):
        assert (window.since, window.until) == (both.log.time[first], both.log.time[last - 1])
        same_part(both, window.part, [each for each in both.slow.tried if first <= each.place < last])
        again = [(place, score) for place, score in both.slow.again if first <= place < last]
        values = [slow.adds(both.summary.measures[0], score, float(both.log.value[place])) for place, score in again]
        users = [int(both.log.user[place]) for place, _ in again]
        assert window.known == len(again)
        near(window.again, slow.figure(values, users, root=both.summary.objective == "rating"))


def same_lists(both: Both, found: Lists, lists: list[tuple[int, list[int]]]) -> None:
    wanted = slow.of_lists(both.log, lists)
    assert (found.lists, found.coverage, found.tail, found.diversity) == pytest.approx(wanted, abs=1e-6)


def test_lists_that_were_served(both: Both) -> None:
    same_lists(both, both.summary.lists, both.slow.lists)
    for window, (first, last) in zip(both.summary.windows, places(both), strict=True):
        lists = [(place, listed) for place, listed in both.slow.lists if first <= place < last]
        if len(lists) > 2:
            same_lists(both, window.lists, lists)


def test_the_log_is_taken_in_the_order_of_time(tmp_path: Path) -> None:
    log = logs.read(logs.clicks(tmp_path), CHOICES["plain"])
    assert (log.time[1:] >= log.time[:-1]).all()
    lines = (tmp_path / "clicks.csv").read_text().splitlines()[1:]
    moments: list[float] = [float(line.split(",")[3]) for line in lines]
    assert log.late == sum(moment < max(moments[:n], default=0) for n, moment in enumerate(moments)) > 50


def test_a_run_can_be_repeated_to_the_bit(tmp_path: Path) -> None:
    log = logs.read(logs.clicks(tmp_path), CHOICES["plain"])
    make: Callable[[], Summary] = lambda: summarise(log, run(log, CHOICES["plain"], Plan(every=3)))  # noqa: E731
    first, second = make(), make()
    assert first.methods == second.methods
    assert first.windows == second.windows
