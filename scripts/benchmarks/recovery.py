"""Recovery: from the death of a trainer until its successor answers, learns and has caught up; workers are asked throughout.

A store of each size is made as it is after long use (grown.py). `streammf up` learns a steady stream from an embedded log; its
trainer is killed (SIGKILL) and told to stop (SIGTERM) in turns, and the supervisor starts the next one.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Final

import numpy as np

from scripts.benchmarks.data import START, STEP
from scripts.benchmarks.freshness import WORKERS, serving
from scripts.benchmarks.grown import Job, measure
from scripts.benchmarks.report import Bar, Report, ratios, say
from scripts.benchmarks.settings import FACTORS
from streammf.errors import StreamMFError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink
from streammf.serving.client import Client
from streammf.serving.results import Info

USERS: Final = (100_000, 1_000_000, 10_000_000)
ITEMS: Final = 10_000
#: Seconds from SIGKILL until the trainer learns again, by number of users.
BARS: Final = {1_000_000: 5.0, 10_000_000: 30.0}
#: Seconds of the stream before a trainer dies, so that commits are under way; between two flushes of the stream; between two
#: rounds of questions; until a successor must have caught up.
BEFORE: Final = 3.0
FLUSH: Final = 0.02
PAUSE: Final = 0.005
PATIENCE: Final = 600.0
#: Seconds that a successor lives before it dies, too: deaths in quick succession are waited for longer and longer.
STEADY: Final = 10.5
#: A trainer has caught up when it is behind by less than what comes in so many seconds: what is on its way.
BEHIND: Final = 0.1


class Stream(Thread):
    """Appends clicks of known users to a log at a steady rate."""

    def __init__(self, log: Path, rate: int, users: int) -> None:
        super().__init__(name="stream", daemon=True)
        self.rate = rate
        self.written = 0
        """Offset after the last durable one."""
        self._sink = LogSink(log, create=True)
        self._users = users
        self._chance = np.random.default_rng(8)
        self._ended = Signal()

    def run(self) -> None:
        """The thread's own work."""
        at = time.perf_counter()
        with closing(self._sink):
            while not self._ended.wait(FLUSH):
                now = time.perf_counter()
                number = max(int((now - at) * self.rate), 1)
                at = now
                people = self._chance.integers(0, self._users, number)
                chosen = self._chance.integers(0, ITEMS, number)
                for person, item in zip(people.tolist(), chosen.tolist(), strict=True):
                    stamp = START + STEP * self.written
                    self._sink.append(b"", encode_json(Event(f"u{person}", f"i{item}", ts=stamp)), stamp)
                self.written = 1 + next(iter(self._sink.flush().values()))

    def finish(self) -> int:
        """Stop; the offset after the last event."""
        self._ended.set()
        self.join()
        return self.written


@dataclass
class Seen:
    """What one worker was seen to serve, and how it answered."""

    info: Info
    at: float
    """Performance counter, s."""
    answers: int = 0
    longest: float = 0.0
    """Between two answers, s."""
    failures: list[str] = field(default_factory=list)


class Asker(Thread):
    """Asks one worker for lists and for what it serves, again and again."""

    def __init__(self, client: Client, users: int) -> None:
        super().__init__(name="asker", daemon=True)
        self.seen = Seen(client.info(), time.perf_counter())
        self._client = client
        self._users = users
        self._chance = np.random.default_rng(9)
        self._ended = Signal()

    def run(self) -> None:
        """The thread's own work."""
        seen = self.seen
        while not self._ended.wait(PAUSE):
            try:
                ranking = self._client.recommend(f"u{self._chance.integers(self._users)}")
                info = self._client.info()
            except StreamMFError as error:
                seen.failures.append(str(error))
                continue
            if not ranking.items:
                seen.failures.append("an empty list")
            now = time.perf_counter()
            seen.longest = max(seen.longest, now - seen.at)
            seen.answers += 1
            seen.info, seen.at = info, now

    def finish(self) -> None:
        """Stop."""
        self._ended.set()
        self.join()


@dataclass(frozen=True)
class Found:
    """What one death cost, s since then."""

    built: float
    """A new generation is begun: the process is there, log and store are open, kernels loaded."""
    answers: float
    """The last of the workers answers from the successor's state."""
    learns: float
    """An answer includes an event that the successor learned."""
    caught_up: float
    longest: float
    """Between two answers of a worker."""
    answered: int
    """Rounds of questions meanwhile, of all workers."""
    failures: list[str]


def run(command: str, most_users: int, rate: int, runs: int, folder: Path | None) -> Report:
    """Measure every size up to this."""
    title = f"recovery: ranking, k = {FACTORS}, {ITEMS:,} items, {rate:,} events/s, {WORKERS} workers, {runs} pairs of deaths"
    report = Report(title, command)
    for users in (users for users in USERS if users <= most_users):
        say(f"{users:,} users ...")
        with made(users, folder) as place:
            present(report, users, deaths(place, users, rate, runs))
    report.notes += NOTES
    return report


NOTES: Final = [
    "from the signal on, as who asks sees it: the supervisor's pause of 0.2 s and the start of a new Python are part of it",
    f"caught up: behind by less than the events of {BEHIND:g} s",
]


@contextmanager
def made(users: int, folder: Path | None) -> Iterator[Path]:
    """A folder with log and store. Made in `folder` it stays, and is used again."""
    with ExitStack() as undo:
        place = folder / f"recovery-{users}" if folder else Path(undo.enter_context(tempfile.TemporaryDirectory()))
        if not (place / "made").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            LogSink(place / "log", create=True).close()
            with in_memory() as live:
                store, log = str(place / "store"), str(place / "log")
                measure(
                    Job(part="keep", objective="ranking", users=users, items=ITEMS, commits=0, live=live, store=store, log=log)
                )
            (place / "made").touch()
        yield place


@contextmanager
def in_memory() -> Iterator[str]:
    """A folder for live memory."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None, prefix="streammf-bench-") as name:
        yield str(Path(name) / "live")


def deaths(place: Path, users: int, rate: int, runs: int) -> dict[str, list[Found]]:
    """Kill and stop trainers in turns; AssertionError where an event was lost or applied twice."""
    found: dict[str, list[Found]] = {"killed": [], "stopped": []}
    with in_memory() as live, serving(variables(place, live)) as address, clients(address) as reached:
        begun = reached[0].info()
        base = begun.events - begun.position[0].next
        stream = Stream(place / "log", rate, users)
        stream.written = begun.position[0].next
        stream.start()
        try:
            for turn in range(runs):
                for name, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)):
                    time.sleep(BEFORE)
                    found[name].append(death(reached, users, stream, number, Path(live)))
                    say(f"  {turn + 1} of {runs}, {name}: learns after {found[name][-1].learns:.2f} s")
                    time.sleep(STEADY)
        finally:
            written = stream.finish()
        until(lambda: reached[0].info().position[0].next >= written, "all learned")
        learned = reached[0].info()
        if (learned.events, learned.position[0].next) != (base + written, written):
            raise AssertionError(f"{learned.events - base:,} events were learned, {written:,} were written")
    return found


def death(reached: list[Client], users: int, stream: Stream, number: signal.Signals, live: Path) -> Found:
    """Send the trainer a signal, and ask until its successor has caught up."""
    pid = reached[0].info().trainer_pid
    askers = [Asker(client, users) for client in reached]
    seen = [asker.seen for asker in askers]
    for asker in askers:
        asker.start()
    generation = max(one.info.generation for one in seen)
    try:
        began = time.perf_counter()
        os.kill(pid, number)
        built = until((live / f"generation-{generation + 1}").exists, "a new generation") - began
        until(lambda: all(one.info.generation > generation for one in seen), "answers from the successor")
        answers = max(one.at for one in seen) - began
        first = min(one.info.committed for one in seen)
        learns = until(lambda: any(one.info.events > first for one in seen), "it learns") - began
        least = int(BEHIND * stream.rate)
        caught_up = until(lambda: min(one.info.position[0].next for one in seen) >= stream.written - least, "caught up") - began
    finally:
        for asker in askers:
            asker.finish()
    failures = [words for one in seen for words in one.failures]
    longest, answered = max(one.longest for one in seen), sum(one.answers for one in seen)
    return Found(built, answers, learns, caught_up, longest, answered, failures)


def until(condition: Callable[[], bool], what: str) -> float:
    """When it came true, on the performance counter."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE:g} s")
        time.sleep(PAUSE / 5)
    return time.perf_counter()


@contextmanager
def clients(address: str) -> Iterator[list[Client]]:
    """A connection to each worker."""
    with ExitStack() as opened:
        found: dict[int, Client] = {}
        while len(found) < WORKERS:
            client = opened.enter_context(Client(address, timeout=PATIENCE))
            found.setdefault(client.info().pid, client)
        yield [*found.values()]


def variables(place: Path, live: str) -> dict[str, str]:
    """The environment of `streammf up`."""
    said = {
        "source__kind": "log",
        "source__path": str(place / "log"),
        "store__path": str(place / "store"),
        "live__path": live,
        "learning__factors": str(FACTORS),
    }
    return {f"STREAMMF_{name}".upper(): value for name, value in said.items()}


def present(report: Report, users: int, found: dict[str, list[Found]]) -> None:
    """One size."""
    for name, deaths_ in found.items():
        begins = f"10^{int(np.log10(users))} users, {name}"
        bar = Bar("at most", BARS[users]) if users in BARS and name == "killed" else None
        report.add(f"{begins}: until it builds a generation", [one.built for one in deaths_], "s")
        report.add(f"{begins}: until all workers answer from it", [one.answers for one in deaths_], "s")
        report.add(f"{begins}: until it learns", [one.learns for one in deaths_], "s", bar)
        report.add(f"{begins}: until it has caught up", [one.caught_up for one in deaths_], "s")
        report.add(f"{begins}: a worker's longest time without an answer", [one.longest for one in deaths_], "s")
        report.add(f"{begins}: answers meanwhile", [float(one.answered) for one in deaths_], "")
        failed = [float(len(one.failures)) for one in deaths_]
        report.add(f"{begins}: failed requests", failed, "", Bar("at most", 0))
        report.notes += sorted({words for one in deaths_ for words in one.failures})[:5]
    killed, stopped = ([one.learns for one in found[name]] for name in ("killed", "stopped"))
    report.add(f"10^{int(np.log10(users))} users: until it learns, killed / stopped", ratios(killed, stopped), "")
