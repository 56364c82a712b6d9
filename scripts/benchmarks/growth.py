"""Growth: what an event, a commit and a start cost as users and items grow, and what each of them takes.

Each size is made as it is after long use (see grown.py), in live memory and in LMDB; then events are learned, as they are in a
shop (Zipf) and spread evenly, and committed as the trainer commits at 20,000 events a second.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

import msgspec
import numpy as np

from scripts.benchmarks.grown import SPREADS, Grown, Job, Spread, measure
from scripts.benchmarks.report import Bar, Report, say
from scripts.benchmarks.settings import FACTORS, learning
from streammf.learning.tables import TABLES, Axis, in_use, row_bytes
from streammf.trainer.commits import MOST_COPIED

USERS: Final = (10_000, 100_000, 1_000_000, 10_000_000)
ITEMS: Final = (1_000, 10_000, 100_000, 1_000_000)
#: What stays as it is while the other grows.
FIXED_USERS: Final = 100_000
FIXED_ITEMS: Final = 10_000
COMMITS: Final = 11

Objective = Literal["ranking", "rating"]


@dataclass(frozen=True)
class Point:
    """A size."""

    users: int
    items: int

    @property
    def name(self) -> str:
        """For people: 10^5 x 10^4."""
        return f"{_power(self.users)} users, {_power(self.items)} items"


def run(command: str, most_users: int, most_items: int, folder: Path | None, commits: int = COMMITS) -> Report:
    """Measure every size up to these."""
    report = Report(f"growth: ranking, k = {FACTORS}, {commits} commits of each kind of load at each size", command)
    by_users = [Point(users, FIXED_ITEMS) for users in USERS if users <= most_users]
    by_items = [Point(FIXED_USERS, items) for items in ITEMS if items <= most_items]
    found: dict[Point, Grown] = {}
    for point in dict.fromkeys([*by_users, *by_items]):
        say(f"{point.name} ...")
        found[point] = measured("ranking", point, folder, commits)
    say("rating ...")
    rating = measured("rating", Point(FIXED_USERS, FIXED_ITEMS), folder, commits)
    for point, grown in found.items():
        present(report, point.name, grown)
    for axis, points in (("users", by_users), ("items", by_items)):
        for spread in SPREADS:
            present_growth(report, axis, spread, [found[point] for point in points])
    present_sizes(report, found, by_users, by_items)
    present(report, f"rating, {_power(FIXED_USERS)} users, {_power(FIXED_ITEMS)} items", rating)
    report.notes += NOTES
    return report


NOTES: Final = [
    "what bends: an event's time grows with cache and TLB misses. The rows it changes stay as many: a user's, rehearsed "
    "users', and the items of their histories and of the negatives, each somewhere else in memory",
    "what bends: with many items the histories of one second's users are rows of their own, so a commit copies and writes more "
    f"for the same events; beyond {MOST_COPIED >> 20} MiB it is due before its 20,000",
    "an event's µs are the learning thread's processor time; copy and commit are by the clock, made here one after another",
    "live memory and store as backed: how much larger the files are at the most than at the least, for each that came",
]


def measured(objective: Objective, point: Point, folder: Path | None, commits: int) -> Grown:
    """One size: grown, stopped, started again."""
    shm = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="streammf-bench-") as disk,
        tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None, prefix="streammf-bench-") as memory,
    ):
        live, store = str(Path(memory) / "live"), str(Path(disk) / "store")
        job = Job(
            part="grow", objective=objective, users=point.users, items=point.items, commits=commits, live=live, store=store
        )
        grown = measure(job)
        grown.start_s = measure(msgspec.structs.replace(job, part="start")).start_s
    return grown


def present(report: Report, name: str, grown: Grown) -> None:
    """One size."""
    for spread in SPREADS:
        load = grown.loads[spread]
        begins = f"{name}, {spread}"
        report.add(f"{begins}: an event", load.event_us, "µs")
        report.add(f"{begins}: rows it changes", [load.touched], "")
        report.add(f"{begins}: events a commit", [float(n) for n in load.events], "")
        report.add(f"{begins}: copy", load.copy_ms, "ms")
        report.add(f"{begins}: longest copy", [max(load.copy_ms)], "ms", Bar("at most", 50))
        report.add(f"{begins}: commit", load.commit_s, "s")
        report.add(f"{begins}: rows committed", [n / 2**20 for n in load.commit_bytes], "MiB")
    report.add(f"{name}: a new user's id and row", [grown.register_us], "µs")
    for axis, times in grown.forget_ms.items():
        report.add(f"{name}: forgetting one {axis}", times, "ms")
    report.add(f"{name}: live memory", [sum(grown.live_bytes.values()) / 2**20], "MiB")
    report.add(f"{name}: store", [grown.store_bytes / 2**20], "MiB")
    report.add(f"{name}: start until it learns", [grown.start_s], "s")


def present_growth(report: Report, axis: str, spread: Spread, sizes: list[Grown]) -> None:
    """How an event's cost goes with one axis, from the least size to the most."""
    times = [median(grown.loads[spread].event_us) for grown in sizes]
    rows = [grown.loads[spread].touched for grown in sizes]
    report.add(f"{axis}, {spread}: µs an event, most / least", [max(times) / min(times)], "", Bar("at most", 3))
    report.add(f"{axis}, {spread}: rows an event changes, most / least", [max(rows) / min(rows)], "")


def present_sizes(report: Report, found: dict[Point, Grown], by_users: list[Point], by_items: list[Point]) -> None:
    """Bytes a user and an item: declared, and by how much files grow from the least size to the most."""
    objectives: tuple[tuple[Objective, Bar | None], ...] = (("ranking", Bar("at most", 600)), ("rating", None))
    for objective, bar in objectives:
        for row in (Axis.USER, Axis.ITEM):
            dimensions = learning(objective).dimensions
            size = sum(row_bytes(table, dimensions) for table in in_use(TABLES, dimensions) if table.axis == row)
            limit, name = (bar, "a user") if row == Axis.USER else (None, "an item")
            report.add(f"live memory as declared, {objective}: {name}", [size], "bytes", limit, "id and seen items apart")
    rows = {axis: tuple(f"{table.name}." for table in TABLES if table.axis == axis) for axis in (Axis.USER, Axis.ITEM)}
    for axis, points, files in (
        ("a user", by_users, {"row": rows[Axis.USER], "id": ("user_ids.",), "begun chain of seen items": ("seen.",)}),
        ("an item", by_items, {"row": rows[Axis.ITEM], "id": ("item_ids.",)}),
    ):
        least, most = found[points[0]], found[points[-1]]
        more = (points[-1].users - points[0].users) or (points[-1].items - points[0].items)
        if not more:
            continue
        for what, beginnings in files.items():
            backed = [sum(n for file, n in one.live_bytes.items() if file.startswith(beginnings)) for one in (least, most)]
            report.add(f"live memory as backed: {axis}'s {what}", [(backed[1] - backed[0]) / more], "bytes")
        report.add(f"store as backed: all that belongs to {axis}", [(most.store_bytes - least.store_bytes) / more], "bytes")


def _power(number: int) -> str:
    exponent = int(np.log10(number))
    return f"10^{exponent}" if number == 10**exponent else f"{number:,}"
