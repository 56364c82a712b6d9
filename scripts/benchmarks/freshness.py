"""Freshness: from a click until a worker's answer reflects it, under a steady load from Kafka.

`streammf up` with the ranking defaults and two workers learns a topic of four partitions; one process writes the load,
another asks.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from scripts.benchmarks.broker import PARTITIONS, broker
from scripts.benchmarks.load import Plan
from scripts.benchmarks.probes import Clicks, Probed, client_of_each, run_probes
from scripts.benchmarks.report import Bar, Report, say
from scripts.benchmarks.settings import variables
from streammf.errors import ChildError
from streammf.events.kafka import KafkaOptions, create_topic
from streammf.state.live import LiveReader

WORKERS: Final = 2
#: Seconds of load before the first probe: lists are personal by then, and start-up is over.
WARM_UP: Final = 10.0
#: Seconds between two looks at what is published.
LOOK: Final = 0.005
#: Seconds that everything learned may take to become visible after the load has ended.
CATCH_UP: Final = 60.0


@dataclass(frozen=True)
class Load:
    """What the system is put under."""

    rate: int
    """Events a second."""
    queries: int
    """Queries a second."""
    seconds: float
    """Length of the measurement."""
    warm_up: float = WARM_UP


@dataclass
class Watched:
    """What live memory showed meanwhile."""

    commits: set[int] = field(default_factory=set)
    """Events durable after each commit."""
    stall: float = 0.0
    """The longest time between two publications, s."""
    behind: int = 0
    """Most events that were learned and not yet durable."""


def run(command: str, load: Load, runs: int) -> Report:
    """Measure `runs` times, each from an empty model."""
    title = f"freshness: {load.rate:,} events/s from Kafka, ranking defaults, {WORKERS} workers, {load.queries} queries/s"
    report = Report(f"{title}, {runs} runs of {load.seconds:g} s", command)
    found: list[tuple[Probed, Watched, float]] = []
    with tempfile.TemporaryDirectory(prefix="streammf-bench-") as name, broker(Path(name) / "kafka") as address:
        for turn in range(runs):
            say(f"run {turn + 1} of {runs}: {load.warm_up:g} s to warm up, {load.seconds:g} s measured")
            folder = Path(name) / str(turn)
            folder.mkdir()
            found.append(measure(address, f"bench-freshness-{Path(name).name}-{turn}", load, folder))
    present(report, found)
    return report


def measure(address: str, topic: str, load: Load, folder: Path) -> tuple[Probed, Watched, float]:
    """One run; the last number is how late the load was at worst, s."""
    create_topic(KafkaOptions(bootstrap_servers=address, topics=[topic]), topic, PARTITIONS)
    plan = Plan(address=address, topic=topic, rate=load.rate, seconds=load.warm_up + load.seconds + 1)
    writer = [sys.executable, "-m", "scripts.benchmarks.load", msgspec.json.encode(plan).decode()]
    shm = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None, prefix="streammf-bench-") as live,
        serving(variables("ranking", address, topic, folder, Path(live))) as served,
        subprocess.Popen(writer, stdout=subprocess.PIPE, text=True) as loading,
    ):
        try:
            probed, watched = asyncio.run(ask(address, topic, served, load, Path(live)))
            late = float(loading.communicate(timeout=load.seconds + CATCH_UP)[0])
        finally:
            loading.kill()
        check_all_arrived(LiveReader(Path(live)), int(plan.rate * plan.seconds) + len(probed.acknowledged))
    return probed, watched, late


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[str]:
    """`streammf up` while the block runs; where its workers answer."""
    own = {
        "STREAMMF_SERVING__PORT": "0",
        "STREAMMF_TELEMETRY__PORT": "0",
        "STREAMMF_TELEMETRY__WORKERS_PORT": "0",
        "STREAMMF_SERVING__WORKERS": str(WORKERS),
    }
    command = [sys.executable, "-m", "streammf", "up"]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("STREAMMF_")}
    with subprocess.Popen(command, env=surroundings | environment | own, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = next((line for line in process.stdout if line.startswith("ready")), "").split()
            if not words:
                raise ChildError("`streammf up` did not start")
            yield next(word.rstrip(";,") for word in words if word.startswith("127.0.0.1:"))
        finally:
            process.terminate()
            process.wait(60)


async def ask(address: str, topic: str, served: str, load: Load, live: Path) -> tuple[Probed, Watched]:
    """Wait until the load is under way, then probe, and watch what is published meanwhile."""
    client, *others = await client_of_each(served, WORKERS)
    while (await client.info()).events < load.rate * load.warm_up:
        await asyncio.sleep(0.1)
    for one in (client, *others):
        await one.close()
    watched, ended = Watched(), threading.Event()
    reader = LiveReader(live)
    reader.view()  # loads kernels, which takes a second of a core: not while probes are asked
    watcher = threading.Thread(target=watch, args=(reader, watched, ended), daemon=True)
    watcher.start()
    with Clicks(address, topic) as clicks:
        probed = await run_probes(served, WORKERS, clicks, load.queries, load.seconds)
    ended.set()
    watcher.join()
    return probed, watched


def watch(reader: LiveReader, watched: Watched, ended: threading.Event) -> None:
    """Note commits, and the longest time without a publication of new events."""
    events, at = reader.view().header.events, time.perf_counter()
    while not ended.wait(LOOK):
        header, now = reader.view().header, time.perf_counter()
        if header.events != events:
            watched.stall = max(watched.stall, now - at)
            events, at = header.events, now
        watched.commits.add(header.committed_events)
        watched.behind = max(watched.behind, header.events - header.committed_events)


def check_all_arrived(reader: LiveReader, events: int) -> None:
    """Every event of load and probes is learned, none twice."""
    deadline = time.monotonic() + CATCH_UP
    while (learned := reader.view().header.events) < events and time.monotonic() < deadline:
        time.sleep(0.05)
    if learned != events:
        raise AssertionError(f"{learned:,} events were learned, {events:,} were written")


def present(report: Report, found: list[tuple[Probed, Watched, float]]) -> None:
    """The figures of all runs."""

    def share(of: float, times: list[list[float]]) -> list[float]:
        return [1000 * float(np.quantile(one, of)) for one in times]

    fresh = [probed.fresh for probed, _, _ in found]
    report.add("click → answer reflects it: p50", share(0.5, fresh), "ms", Bar("at most", 20))
    report.add("click → answer reflects it: p99", share(0.99, fresh), "ms", Bar("at most", 100))
    report.add("click → answer reflects it: p99.9", share(0.999, fresh), "ms")
    report.add("click → answer reflects it: longest", share(1.0, fresh), "ms")
    acknowledged = [probed.acknowledged for probed, _, _ in found]
    report.add("of it, until Kafka acknowledges: p50", share(0.5, acknowledged), "ms")
    report.add("of it, until Kafka acknowledges: p99", share(0.99, acknowledged), "ms")
    answered = [probed.answered for probed, _, _ in found]
    report.add("a query: p50", share(0.5, answered), "ms")
    report.add("a query: p99", share(0.99, answered), "ms")
    report.add("longest time without new events in live memory", [1000 * w.stall for _, w, _ in found], "ms")
    report.add("commits meanwhile", [float(len(w.commits)) for _, w, _ in found], "")
    report.add("most events learned, not yet durable", [float(w.behind) for _, w, _ in found], "")
    report.add("load behind its clock at worst", [1000 * late for _, _, late in found], "ms", note="the generator's own")
    report.add("probes", [float(len(one)) for one in fresh], "")
    wrong = [text for probed, _, _ in found for text in probed.wrong]
    report.add("wrong answers", [float(len(probed.wrong)) for probed, _, _ in found], "", Bar("at most", 0))
    report.notes += sorted(set(wrong))[:5]
