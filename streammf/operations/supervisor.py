"""Keeps child processes running: starts them in stages, starts again what dies, stops them in the opposite order.

Rules of this file:
1. It knows commands, not what they do. A child says on stdout that it is ready with a line that begins with `ready`.
2. A child's line on stderr that begins with `streammf: ` is its last word: kept as the reason of its death. Other lines
   pass through.
3. What cannot heal by itself is not tried again: a child that could not even start the first time, and whose exit code
   says that settings, log, store or memory are to blame, ends everything, with that code.
4. Deaths in quick succession wait longer and longer, and are counted: after too many everything ends with ChildError.
   A disk or a memory that is full is waited for instead, while the others go on. Whoever was ready and is killed
   (SIGKILL: by hand, or for the memory of its neighbours) did nothing wrong: it comes back at once, however often.
5. Children stand in process groups of their own: a terminal's Ctrl-C reaches only this process, which keeps the order.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streammf.errors import ChildError, ExitCode

#: Exit codes that a new attempt with the same settings and surroundings would only repeat.
HOPELESS: Final = frozenset(
    {
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.SOURCE,
        ExitCode.DATA_LOSS,
        ExitCode.STORE,
        ExitCode.STORE_BUSY,
        ExitCode.STORE_FULL,
        ExitCode.MEMORY,
    }
)
#: Exit codes of a child that was ready once, which time alone may heal: tried again for as long as it takes.
PASSING: Final = frozenset({ExitCode.STORE_FULL, ExitCode.MEMORY})
LAST_WORD: Final = "streammf: "
READY: Final = "ready"
#: Bytes; a longer line is passed on in pieces.
_LONGEST_LINE: Final = 65_536


class Child(NamedTuple):
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """None: this process's own."""
    may_finish: bool = False
    """Whether exit code 0 means that its work is done: the trainer of a file. A child that may not is started again."""


class Patience(NamedTuple):
    """How much dying is put up with."""

    first_delay: float = 0.2
    """Seconds before the first new start; doubles with each quick death."""
    longest_delay: float = 10.0
    steady_seconds: float = 10.0
    """A child that was ready for so long died a single death; its count starts anew."""
    most_quick_deaths: int = 6
    stop_seconds: float = 30.0
    """Between SIGTERM and SIGKILL."""


PATIENCE: Final = Patience()


@dataclass
class _Kept:
    """A child's present process and its past."""

    child: Child
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once, at the first `ready` line."""
    process: asyncio.subprocess.Process | None = None
    ready_words: str = ""
    """What stood behind `ready`."""
    ready_at: float | None = None
    """Loop time at which the present process was ready."""
    last_line: str = ""
    quick_deaths: int = 0


class Supervisor:
    """Runs stages of children: a stage starts when every child of the one before is ready."""

    def __init__(self, stages: Sequence[Sequence[Child]], report: Callable[[str], None], patience: Patience = PATIENCE) -> None:
        self._stages = [[_Kept(child) for child in stage] for stage in stages]
        self._report = report
        self._patience = patience
        self._stop_asked = asyncio.Event()
        self._keepers: dict[asyncio.Task[None], _Kept] = {}

    async def run(self, on_ready: Callable[[Mapping[str, str]], None]) -> None:
        """Until SIGTERM, SIGINT, or until every child that may finish did and no other is left. Raises ChildError.

        `on_ready` is called once, when the last stage is ready, with what each child (by name) said when it was. A
        second signal kills instead of waiting.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            for stage in self._stages:
                self._keepers |= {asyncio.create_task(self._keep(kept)): kept for kept in stage}
                if not await self._until_ready(stage, stop):
                    return
            on_ready({kept.child.name: kept.ready_words for stage in self._stages for kept in stage})
            while not stop.done() and (running := [task for task in self._keepers if not task.done()]):
                await self._first_of(running, stop)
        finally:
            stop.cancel()
            await self._stop_all()

    def _on_signal(self) -> None:
        if self._stop_asked.is_set():
            for kept in self._keepers.values():
                if kept.process is not None:
                    _signal(kept.process, signal.SIGKILL)
        self._stop_asked.set()

    async def _until_ready(self, stage: Sequence[_Kept], stop: asyncio.Task[bool]) -> bool:
        """False: asked to stop before the stage was ready."""
        waits = [asyncio.create_task(kept.ready.wait()) for kept in stage]
        try:
            while (open_ := [wait for wait in waits if not wait.done()]) and not stop.done():
                await self._first_of([*open_, *(task for task in self._keepers if not task.done())], stop)
        finally:
            for wait in waits:
                wait.cancel()
        return not stop.done()

    async def _first_of(self, tasks: Sequence[asyncio.Task[bool] | asyncio.Task[None]], stop: asyncio.Task[bool]) -> None:
        """Until one of them is done; what a keeper raised is raised here."""
        await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in self._keepers:
            if task.done():
                task.result()

    async def _keep(self, kept: _Kept) -> None:
        """Start the child again and again. Returns when it finished and may; raises ChildError when it is hopeless."""
        while True:
            code = await self._run_once(kept)
            if code == 0 and kept.child.may_finish:
                self._report(f"{kept.child.name} finished")
                kept.ready.set()
                return
            delay = self._delay(kept, code)
            self._report(f"{kept.child.name} {_death(code, kept.last_line)}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)

    async def _run_once(self, kept: _Kept) -> int:
        """One life of the child: its exit code, negative for a signal."""
        kept.ready_at, kept.last_line = None, ""
        try:
            kept.process = process = await asyncio.create_subprocess_exec(
                *kept.child.command,
                env=kept.child.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise ChildError(f"cannot start {kept.child.name} ({kept.child.command[0]}): {error.strerror}") from error
        assert process.stdout is not None
        assert process.stderr is not None
        readers = asyncio.gather(self._read_output(kept, process.stdout), self._read_errors(kept, process.stderr))
        code = await process.wait()
        # what it had written is still in the pipes; a grandchild that holds them open must not hold us
        with suppress(TimeoutError):
            await asyncio.wait_for(readers, 1.0)
        return code

    def _delay(self, kept: _Kept, code: int) -> float:
        """Seconds until the next start. Raises ChildError where there is to be none."""
        name, patience = kept.child.name, self._patience
        if not kept.ready.is_set() and code in HOPELESS:
            raise ChildError(f"{name}: {kept.last_line or f'exit code {code}'}", ExitCode(code))
        if code in PASSING:
            return patience.longest_delay
        if code == -signal.SIGKILL and kept.ready_at is not None:
            return patience.first_delay
        now = asyncio.get_running_loop().time()
        steady = kept.ready_at is not None and now - kept.ready_at >= patience.steady_seconds
        kept.quick_deaths = 1 if steady else kept.quick_deaths + 1
        if kept.quick_deaths >= patience.most_quick_deaths:
            raise ChildError(f"{name} died {kept.quick_deaths} times in a row; the last time it {_death(code, kept.last_line)}")
        return float(min(patience.first_delay * 2 ** (kept.quick_deaths - 1), patience.longest_delay))

    async def _read_output(self, kept: _Kept, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            if line.startswith(READY):
                if kept.ready.is_set():
                    self._report(f"{kept.child.name} is ready again")
                kept.ready_words = line.removeprefix(READY).strip()
                kept.ready_at = asyncio.get_running_loop().time()
                kept.ready.set()
            else:
                self._report(f"{kept.child.name}: {line}")

    async def _read_errors(self, kept: _Kept, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            kept.last_line = line.removeprefix(LAST_WORD)
            if not line.startswith(LAST_WORD):
                self._report(f"{kept.child.name}: {line}")

    async def _stop_all(self) -> None:
        """The last stage first: nobody asks any more when the trainer writes its last commit."""
        for stage in reversed(self._stages):
            tasks = [task for task, kept in self._keepers.items() if kept in stage]
            processes = [kept.process for kept in stage if kept.process is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for process in processes:
                _signal(process, signal.SIGTERM)
            await asyncio.gather(*(self._until_gone(process) for process in processes))

    async def _until_gone(self, process: asyncio.subprocess.Process) -> None:
        try:
            await asyncio.wait_for(process.wait(), self._patience.stop_seconds)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def _death(code: int, last_line: str) -> str:
    """How it ended, in words."""
    if code < 0:  # whoever sent it knows why; what the child said last was about something else
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code} ({last_line})" if code and last_line else f"ended with exit code {code}"


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines without their ends; StreamReader's own iteration raises on a line beyond its limit."""
    rest = b""
    while chunk := await stream.read(_LONGEST_LINE):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip()
    if rest:
        yield rest.decode(errors="replace").rstrip()


def own_command(*arguments: str) -> list[str]:
    """The command line of another streammf process of this installation."""
    return [sys.executable, "-m", "streammf", *arguments]
