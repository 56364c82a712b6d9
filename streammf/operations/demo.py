"""The demo: a small world streams through the embedded log, and everything that StreamMF promises is shown on it.

Rules of this file:
1. Nothing is pretended: the processes are those of `streammf up`, the click goes through `streammf track`, SIGKILL is SIGKILL,
   and what must be exact is compared and is an error where it is not.
2. It runs in a folder of its own, on any free port, and leaves nothing behind.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from streammf.errors import ChildError, NoModelError, StreamMFError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink, LogSource
from streammf.events.source import Partition
from streammf.operations.world import Click, World
from streammf.serving.client import Client
from streammf.serving.results import RankedItem

BEFORE: Final = 30_000
AFTER: Final = 20_000
#: Clicks written between two looks at how far the trainer is.
CHUNK: Final = 1_000
#: Seconds within which everything that is waited for happens, compiling the kernels included.
PATIENCE: Final = 180.0
SHOWN: Final = 10


class Demo(NamedTuple):
    """What the scenes share."""

    console: Console
    world: World
    folder: Path
    address: str
    client: Client

    @property
    def log(self) -> Path:
        """The embedded log."""
        return self.folder / "log"


def run(console: Console, folder: Path, seed: int, *, keep: bool) -> None:
    """Show everything, in `folder`. Raises StreamMFError where something is not as promised."""
    world = World(seed)
    console.rule("[bold]StreamMF: learn now, lose nothing, answer now")
    console.print(
        f"A made-up world (seed {seed}): {len(world.films):,} films in 10 genres, {len(world.people):,} people whose tastes "
        "drift.\n"
        "No Kafka here: events go through the embedded log. Starting a trainer and two query workers ..."
    )
    with running(folder, console) as address, Client(address, timeout=20) as client:
        demo = Demo(console, world, folder, address, client)
        now = int(time.time() * 1000)
        week = list(world.clicks(BEFORE, start=now - 7 * 86_400_000, gap=7 * 86_400_000 / BEFORE / 1.02))
        stream(demo, week, "a week of clicks")
        show_one_click(demo, week)
        kill_and_recover(demo, world.clicks(AFTER, start=int(time.time() * 1000), gap=1.0))
        say_how_to_go_on(demo, keep=keep)
        if keep:
            wait_for_interrupt(console)


@contextmanager
def running(folder: Path, console: Console) -> Iterator[str]:
    """`streammf up` on the demo's folder; gives the address that answers, and stops it at the end."""
    environment = {
        **os.environ,
        "STREAMMF_SOURCE__KIND": "log",
        "STREAMMF_SOURCE__PATH": str(folder / "log"),
        "STREAMMF_STORE__PATH": str(folder / "store"),
        "STREAMMF_SERVING__HOST": "127.0.0.1",
        "STREAMMF_SERVING__PORT": "0",
        "STREAMMF_SERVING__WORKERS": "2",
        "STREAMMF_TELEMETRY__PORT": "0",
    }
    command = [sys.executable, "-m", "streammf", "up"]
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ThreadPoolExecutor(1) as listener:
        heard: deque[str] = deque(maxlen=5)
        listener.submit(listen, process, console, heard)
        try:
            yield ready_address(process, heard)
        finally:  # whatever went wrong: the listener ends when the processes do
            stop(process)


def stop(process: "subprocess.Popen[str]") -> None:
    """End `streammf up`, with its trainer and workers; by force where it does not end by itself."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listen(process: "subprocess.Popen[str]", console: Console, heard: "deque[str]") -> None:
    """Pass on what the processes say: that kernels are compiled, that a trainer died and is back."""
    assert process.stderr is not None
    for line in process.stderr:
        heard.append(line.strip())
        console.print(f"  [dim]{line.strip()}[/dim]", highlight=False)


def ready_address(process: "subprocess.Popen[str]", heard: Iterable[str]) -> str:
    """The address in the `ready` line of `up`."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return next(word.rstrip(";,") for word in line.split() if word.startswith("127.0.0.1:"))
    raise ChildError(f"`streammf up` did not start: {' / '.join(heard)}")


def stream(demo: Demo, clicks: Iterable[Click], what: str) -> None:
    """Write clicks as a producer would, watch them being learned, and return when all are."""
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=demo.console) as progress, closing(LogSink(demo.log)) as sink:
        learned = progress.add_task(f"learning from {what}", total=None)
        first = demo.client.info().events
        written = 0
        for written, click in enumerate(clicks, 1):
            append(sink, click)
            if written % CHUNK == 0:
                sink.flush()
                progress.update(learned, completed=demo.client.info().events - first, total=written)
        sink.flush()
        while (events := demo.client.info().events - first) < written:
            progress.update(learned, completed=events, total=written)
            require_patience(start, f"only {events:,} of {written:,} events were learned")
            time.sleep(0.02)
        progress.update(learned, completed=written, total=written)
    seconds = time.monotonic() - start
    demo.console.print(f"{written:,} clicks written and learned in {seconds:.1f} s ({written / seconds:,.0f} a second)")


def append(sink: LogSink, click: Click) -> None:
    """One click, as JSON."""
    event = Event(user=click.user, item=click.item, ts=click.time)
    sink.append(click.user.encode(), encode_json(event), click.time)


def show_one_click(demo: Demo, clicks: Sequence[Click]) -> None:
    """One person's list, a click through `track`, the list after it."""
    console, titles = demo.console, demo.world.titles
    person, history = somebody(clicks)
    before = demo.client.recommend(person, k=100)
    console.rule("One click")
    console.print(f"{person} has watched {len(history)} films, the last ones: {'; '.join(titles[f] for f in history[-3:])}")
    known = {titles[item.item].rsplit("(", 1)[1] for item in before.items[:SHOWN]}
    popular = demo.client.popular(k=200)
    clicked = next(i.item for i in popular if i.item not in history and titles[i.item].rsplit("(", 1)[1] not in known)
    position = LogPosition.of(demo.log)
    console.print(f"[bold]$ streammf track --user {person} --item {clicked}[/bold]      ({titles[clicked]})")
    with ThreadPoolExecutor(1) as asker, Client(demo.address, timeout=20) as client:
        wanted = [(position.topic, 0, position.next + 1)]
        after = asker.submit(lambda: (client.recommend(person, k=100, at_least=wanted, wait=10.0), time.time()))
        track(demo, person, clicked)
        answer, at = after.result(PATIENCE)
    milliseconds = at * 1000 - position.timestamp_of_next()
    console.print(
        f"[bold green]{milliseconds:.0f} ms[/bold green] after the click was written, an answer included it: "
        "checked, made durable in the log, learned, published, ranked again."
    )
    console.print(side_by_side(before.items, answer.items, titles))


class LogPosition(NamedTuple):
    """The end of the log at one moment."""

    folder: Path
    topic: str
    next: int

    @classmethod
    def of(cls, folder: Path) -> "LogPosition":
        """The present end."""
        with closing(LogSource(folder)) as source:
            partition, end = next(iter(source.ends().items()))
        return cls(folder, partition.topic, end)

    def timestamp_of_next(self) -> int:
        """ms since the epoch at which the record that followed was written."""
        with closing(LogSource(self.folder)) as source:
            source.seek({Partition(self.topic, 0): self.next})
            records = source.poll(1, PATIENCE)
        if records is None:
            raise StreamMFError("`streammf track` wrote nothing")
        return records.timestamp(0)


def track(demo: Demo, person: str, film: str) -> None:
    """The command, as anybody would call it."""
    command = [sys.executable, "-m", "streammf", "track", "--path", str(demo.log), "--user", person, "--item", film]
    done = subprocess.run(command, cwd=demo.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StreamMFError(f"`streammf track` failed: {done.stderr.strip()}")


def somebody(clicks: Sequence[Click]) -> tuple[str, list[str]]:
    """A person with a history worth looking at, and the films in it."""
    histories: dict[str, list[str]] = {}
    for click in clicks:
        histories.setdefault(click.user, []).append(click.item)
    return next((person, films) for person, films in histories.items() if 8 <= len(films) <= 14)


def side_by_side(before: Sequence[RankedItem], after: Sequence[RankedItem], titles: dict[str, str]) -> Table:
    """The two lists, with how far each film moved."""
    rank = {item.item: n for n, item in enumerate(before, 1)}
    table = Table("", "before the click", "after the click", "moved", title="recommended")
    for n in range(SHOWN):
        film = after[n].item
        was = rank.get(film)
        moved = "new" if was is None else "=" if was == n + 1 else f"{'▲' if was > n + 1 else '▼'} {abs(was - n - 1)}"
        table.add_row(str(n + 1), titles[before[n].item], titles[film], moved)
    return table


def kill_and_recover(demo: Demo, clicks: Iterable[Click]) -> None:
    """SIGKILL in the middle of the stream; answers go on, and the count of applied events is exact."""
    console, client = demo.console, demo.client
    console.rule("Crash")
    with closing(LogSink(demo.log)) as sink, ThreadPoolExecutor(1) as producer:
        writing = producer.submit(write_all, sink, clicks)
        before = client.info()
        while client.info().events < before.events + CHUNK and not writing.done():
            time.sleep(0.001)
        before = client.info()
        os.kill(before.trainer_pid, signal.SIGKILL)
        killed = time.monotonic()
        console.print(
            f"[bold]$ kill -9 {before.trainer_pid}[/bold]      (the trainer, in the middle of the stream: "
            f"{before.events:,} events learned, {before.committed:,} of them durable; "
            "the rest will be learned again from the log)"
        )
        writing.result(PATIENCE)
    answered = 0
    while client.info().generation == before.generation:
        client.recommend(demo.world.people[answered % 100])
        answered += 1
        require_patience(killed, "the trainer did not come back")
    outage = time.monotonic() - killed
    written = LogPosition.of(demo.log).next
    while (events := client.info().events) < written:
        require_patience(killed, f"only {events:,} of {written:,} events are applied")
        time.sleep(0.02)
    console.print(
        f"{answered:,} queries were answered in the {outage:.1f} s until the new trainer's model was live; none failed."
    )
    if events != written:
        raise StreamMFError(f"the log holds {written:,} events, but {events:,} are applied")
    console.print(
        f"[bold green]The log holds {written:,} events, the model has applied {events:,}[/bold green]: "
        "nothing lost, nothing twice."
    )


def write_all(sink: LogSink, clicks: Iterable[Click]) -> None:
    """Write clicks in small pieces, each durable before the next."""
    for number, click in enumerate(clicks, 1):
        append(sink, click)
        if number % (CHUNK // 10) == 0:
            sink.flush()
    sink.flush()


def require_patience(since: float, what: str) -> None:
    """NoModelError saying what was waited for in vain."""
    if time.monotonic() - since > PATIENCE:
        raise NoModelError(f"{what} within {PATIENCE:.0f} s")


def say_how_to_go_on(demo: Demo, *, keep: bool) -> None:
    """The next steps."""
    person = demo.world.people[0]
    demo.console.rule("Your turn")
    if keep:
        to_ask = (
            f"This one is running at {demo.address} until Ctrl-C. To ask it:\n"
            f"  streammf query recommend --user {person} -k 5 --address {demo.address}\n"
            f'  python -c \'from streammf import Client; print(Client("{demo.address}").recommend("{person}", k=5))\'\n'
        )
    else:
        to_ask = "This one is stopped now. One that goes on, and says how to ask it:\n  streammf demo --keep\n"
    demo.console.print(
        f"{to_ask}"
        "Your own events, in a log under ./streammf-data:\n"
        "  streammf up\n"
        "  streammf track --user ann --item film-1\n"
        "From Kafka:\n"
        "  streammf up --source kafka --bootstrap 127.0.0.1:9092 --topic events",
        highlight=False,
        soft_wrap=True,
    )


def wait_for_interrupt(console: Console) -> None:
    """Until Ctrl-C or SIGTERM."""
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    signal.sigwait(stop)
    console.print("stopping ...")
