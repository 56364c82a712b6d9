"""Queries: one worker on loopback, asked by one client and by many; and its scan of all items beside FAISS and implicit.

The worker answers 10 recommendations, seen items left out, from 27,000 items × 64 factors: by gradient factors alone, one scan
as the peers', and by the blend, whose scan reads vectors of least squares, popularity and times too. One client is our own,
decoding included. Many clients are connections of one process that sends ready bytes: it is shown how little it has to do. The
scan is measured in a process of its own, on one thread, beside FAISS IndexFlatIP and implicit's topk, one user at a time.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from scripts.benchmarks import scans
from scripts.benchmarks.asking import Asking, ask, questions
from scripts.benchmarks.report import Bar, Report, ratios, say
from scripts.benchmarks.shop import name_of_user, open_shop
from streammf.errors import ChildError
from streammf.learning.options import LearningOptions
from streammf.serving.client import Client

FACTORS: Final = 64
SETTINGS: Final = {
    "gradient factors": LearningOptions(factors=FACTORS, blend=False),
    "blend": LearningOptions(factors=FACTORS),
}
CLIENTS: Final = 16
BEST: Final = 10


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    runs: int = 5
    seconds: float = 3.0
    """Of each run with many clients."""
    questions: int = 1000
    """Of each run with one client."""
    items: int = 27_000
    users: int = 10_000
    many_items: int = 1_000_000
    scanned: Sequence[int] = (100, 8)
    """Users that are looked up in each run by each scan: of the few items, and of the many."""


def run(command: str, size: Size) -> Report:
    """Measure, all in turns."""
    report = Report(f"query: {size.items:,} items x {FACTORS}, one worker on loopback, {size.runs} runs", command)
    for setting, options in SETTINGS.items():
        with tempfile.TemporaryDirectory(dir=_memory(), prefix="streammf-bench-") as name:
            say(f"{setting}: learning {size.items:,} items ...")
            with (
                closing(open_shop(Path(name), size.users, size.items, 4 * size.items, options)),
                worker(Path(name)) as (address, pid),
            ):
                measure(report, size, setting, address, pid)
    for items, count in zip((size.items, size.many_items), size.scanned, strict=True):
        say(f"scanning {items:,} items ...")
        job = scans.Job(items=items, factors=FACTORS, rounds=size.runs, questions=count)
        present(report, items, scans.measure(job), Bar("at most", 1.2) if items == size.many_items else None)
    report.notes += [
        f"one client is serving.client.Client, decoding included; the {CLIENTS} clients are connections of one process "
        "that only counts: where the worker is the busier one, the figure is the worker's",
        "a scan of ours is a whole answer, with the user's vector made from the history and log-popularity added; the peers "
        "multiply a vector that stands ready, and know no popularity",
    ]
    return report


def measure(report: Report, size: Size, setting: str, address: str, pid: int) -> None:
    """The worker, by one client and by many. The bars are those of one plain scan."""
    plain = setting == "gradient factors"
    alone: list[list[float]] = []
    together: list[Asking] = []
    frames = questions(size.users, BEST)
    for turn in range(size.runs):
        say(f"run {turn + 1} of {size.runs}")
        alone.append(one_client(address, size.users, size.questions))
        together.append(ask(address, pid, frames, CLIENTS, size.seconds))
    for share, bar in ((0.5, Bar("at most", 1.0) if plain else None), (0.99, None)):
        latencies = [1000 * float(np.quantile(one, share)) for one in alone]
        report.add(f"{setting}, one client: p{100 * share:g}", latencies, "ms", bar)
    rates = [asking.answers / asking.seconds for asking in together]
    report.add(f"{setting}, {CLIENTS} clients", rates, "queries/s", Bar("at least", 3000) if plain else None)
    for share in (0.5, 0.99):
        latencies = [1000 * float(np.quantile(asking.latencies, share)) for asking in together]
        report.add(f"{setting}, {CLIENTS} clients: p{100 * share:g}", latencies, "ms")
    report.add("  the worker's share of a core", [asking.server_busy for asking in together], "")
    report.add("  the clients' share of a core", [asking.client_busy for asking in together], "")


def present(report: Report, items: int, found: dict[str, list[float]], bar: Bar | None) -> None:
    """The scans of so many items."""
    for name, times in found.items():
        report.add(f"{items:,} items: {name}", times, "ms a user")
    report.add(f"{items:,} items: ours / FAISS flat", ratios(found["ours"], found["faiss"]), "", bar)
    report.add(f"{items:,} items: ours / implicit", ratios(found["ours"], found["implicit"]), "")


def one_client(address: str, users: int, count: int) -> list[float]:
    """Seconds of each of `count` queries, one after another."""
    latencies = []
    with Client(address) as client:
        for user in np.random.default_rng(4).integers(0, users, count).tolist():
            began = time.perf_counter()
            ranked = client.recommend(name_of_user(user), k=BEST)
            latencies.append(time.perf_counter() - began)
            assert len(ranked.items) == BEST
    return latencies


@contextmanager
def worker(folder: Path) -> Iterator[tuple[str, int]]:
    """A query worker of this live memory while the block runs: its address and process id."""
    command = [sys.executable, "-m", "scripts.benchmarks.query_worker", os.fspath(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise ChildError("the query worker did not start")
            yield address, process.pid
        finally:
            process.terminate()


def _memory() -> Path | None:
    """Where live memory stands by default."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None
