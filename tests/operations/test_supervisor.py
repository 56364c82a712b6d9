"""The supervisor, with small Python programs for children."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from streammf.errors import ChildError, ExitCode
from streammf.operations.supervisor import Child, Patience, Supervisor

#: Quick, for tests: what takes seconds in life takes hundredths.
QUICK = Patience(first_delay=0.01, longest_delay=0.04, steady_seconds=60, most_quick_deaths=6, stop_seconds=20)
SECONDS = 30.0


def child(name: str, program: str, may_finish: bool = False) -> Child:
    return Child(name, [sys.executable, "-u", "-c", "import os, signal, sys\n" + program], may_finish=may_finish)


#: Says its pid, and lives until SIGTERM.
FAITHFUL = "signal.signal(15, lambda *_: sys.exit(0)); print('ready', os.getpid()); signal.pause()"


def diary(path: Path, name: str) -> str:
    """A program that writes down when it starts and when it is told to stop."""
    return f"""
def note(what):
    with open({str(path)!r}, 'a') as file: file.write('{name} ' + what + '\\n')
def stop(*_): note('stops'); sys.exit(0)
signal.signal(15, stop); note('starts'); print('ready'); signal.pause()"""


class Scene:
    """One run of a supervisor and what came of it."""

    def __init__(self, *stages: Sequence[Child], patience: Patience = QUICK) -> None:
        self.lines: list[str] = []
        self.ready: list[Mapping[str, str]] = []
        self._stages = stages
        self._patience = patience

    def play(self, script: Callable[["Scene"], Coroutine[Any, Any, None]] | None = None) -> None:
        """Run until it ends by itself; `script` acts meanwhile. What the supervisor raises is raised."""

        async def both() -> None:
            supervisor = Supervisor(self._stages, self.lines.append, self._patience)
            running = asyncio.create_task(supervisor.run(self.ready.append))
            acting = asyncio.create_task(script(self)) if script else None
            try:
                await asyncio.wait_for(running, SECONDS)
            finally:
                if acting is not None:
                    acting.cancel() if running.cancelled() else await acting

        asyncio.run(both())

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                await asyncio.sleep(0.005)

    def count(self, part: str) -> int:
        return sum(part in line for line in self.lines)

    def pid(self, name: str) -> int:
        return int(self.ready[0][name])


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_killed_child_is_started_again() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        os.kill(scene.pid("worker"), signal.SIGKILL)
        await scene.until(lambda: scene.count("worker is ready again"))
        stop()

    scene = Scene([child("worker", FAITHFUL)])
    scene.play(script)
    assert scene.count("worker was killed by SIGKILL; starting it again in 0.0 s") == 1
    with pytest.raises(ProcessLookupError):
        os.kill(scene.pid("worker"), 0)


def test_a_child_that_ends_by_itself_is_started_again_even_with_exit_code_0() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        os.kill(scene.pid("worker"), signal.SIGTERM)
        await scene.until(lambda: scene.count("worker is ready again"))
        stop()

    scene = Scene([child("worker", FAITHFUL)])
    scene.play(script)
    assert scene.count("worker ended with exit code 0") == 1


def test_quick_deaths_wait_longer_and_longer_up_to_a_cap_and_then_end_everything() -> None:
    patience = Patience(first_delay=0.1, longest_delay=0.3, most_quick_deaths=5)
    scene = Scene([child("trainer", "sys.exit('streammf: the disk is full')")], patience=patience)
    with pytest.raises(ChildError) as caught:
        scene.play()
    assert caught.value.exit_code == ExitCode.CHILD
    assert str(caught.value) == "trainer died 5 times in a row; the last time it ended with exit code 1 (the disk is full)"
    assert [line[-5:] for line in scene.lines] == ["0.1 s", "0.2 s", "0.3 s", "0.3 s"]


def test_a_child_that_lived_long_enough_may_die_as_often_as_it_likes() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.count("starting it again") >= 4)
        stop()

    program = "print('ready'); sys.exit(1)"
    scene = Scene([child("worker", program)], patience=Patience(first_delay=0.01, steady_seconds=0, most_quick_deaths=2))
    scene.play(script)
    assert scene.ready


def test_a_child_that_was_ready_may_be_killed_as_often_as_anybody_likes_and_comes_back_at_once() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.count("was killed by SIGKILL; starting it again in 0.1 s") >= 4)
        stop()

    program = "print('ready', flush=True); os.kill(os.getpid(), 9)"
    scene = Scene([child("worker", program)], patience=Patience(first_delay=0.1, steady_seconds=60, most_quick_deaths=2))
    scene.play(script)
    assert scene.ready


def test_one_that_is_killed_before_it_is_ready_cannot_start() -> None:
    with pytest.raises(ChildError, match="worker died 6 times in a row; the last time it was killed by SIGKILL"):
        Scene([child("worker", "os.kill(os.getpid(), 9)")]).play()


def test_a_stage_starts_after_the_one_before_is_ready_and_stops_before_it(tmp_path: Path) -> None:
    path = tmp_path / "diary"

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        stop()

    Scene(
        [child("trainer", diary(path, "trainer"))],
        [child("worker", diary(path, "worker")), child("worker 2", diary(path, "worker"))],
    ).play(script)
    lines = path.read_text().splitlines()
    assert lines == ["trainer starts", *["worker starts"] * 2, *["worker stops"] * 2, "trainer stops"]


@pytest.mark.parametrize("code", [ExitCode.CONFIGURATION, ExitCode.SOURCE, ExitCode.STORE_BUSY, ExitCode.MEMORY])
def test_a_child_that_cannot_even_start_ends_everything_with_its_own_words_and_code(code: ExitCode) -> None:
    broken = child("trainer", f"print('streammf: no such topic: clicks', file=sys.stderr); sys.exit({code})")
    scene = Scene([child("worker", FAITHFUL)], [broken])
    with pytest.raises(ChildError) as caught:
        scene.play()
    assert caught.value.exit_code == code
    assert str(caught.value) == "trainer: no such topic: clicks"
    assert scene.lines == []
    assert not scene.ready


def test_the_same_words_later_are_a_death_like_any_other(tmp_path: Path) -> None:
    """A broker that is away for a moment must not end a service that ran."""
    been = tmp_path / "been"
    program = f"""
path = {str(been)!r}
if os.path.exists(path): sys.exit({int(ExitCode.SOURCE)})
open(path, 'w'); print('ready'); os.kill(os.getpid(), 9)"""
    with pytest.raises(ChildError, match="died 6 times in a row; the last time it ended with exit code 4") as caught:
        Scene([child("trainer", program)]).play()
    assert caught.value.exit_code == ExitCode.CHILD


@pytest.mark.parametrize("code", [ExitCode.STORE_FULL, ExitCode.MEMORY])
def test_what_is_full_is_waited_for_as_long_as_it_takes_once_the_child_was_ready(tmp_path: Path, code: ExitCode) -> None:
    """More deaths in a row than are put up with otherwise."""
    lives = tmp_path / "lives"
    program = f"""
with open({str(lives)!r}, 'a') as file: file.write('x')
lived = len(open({str(lives)!r}).read())
if lived == 1: print('ready')
if lived < 12: print('streammf: the file system is full', file=sys.stderr); sys.exit({int(code)})
print('ready'); sys.exit(0)"""
    scene = Scene([child("trainer", program, may_finish=True)])
    scene.play()
    assert lives.read_text() == "x" * 12
    assert sum("is full" in line for line in scene.lines) == 11
    assert scene.lines[-1] == "trainer finished"


def test_a_worker_without_a_model_yet_is_tried_again(tmp_path: Path) -> None:
    been = tmp_path / "been"
    program = f"""
path = {str(been)!r}
if not os.path.exists(path): open(path, 'w'); sys.exit({int(ExitCode.NO_MODEL)})
{FAITHFUL}"""

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        stop()

    scene = Scene([child("worker", program)])
    scene.play(script)
    assert scene.count("starting it again") == 1


def test_a_child_that_does_not_stop_when_told_is_killed() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        stop()

    deaf = "signal.signal(15, signal.SIG_IGN); print('ready', os.getpid())\nwhile True: signal.pause()"
    scene = Scene([child("worker", deaf)], patience=Patience(stop_seconds=0.1))
    scene.play(script)
    with pytest.raises(ProcessLookupError):
        os.kill(scene.pid("worker"), 0)


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    told = tmp_path / "told"

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.ready)
        stop()
        await scene.until(told.exists)
        os.kill(os.getpid(), signal.SIGINT)

    slow = f"signal.signal(15, lambda *_: open({str(told)!r}, 'w')); print('ready')\nwhile True: signal.pause()"
    Scene([child("worker", slow)]).play(script)


def test_a_stop_before_all_is_ready_is_obeyed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    async def script(scene: Scene) -> None:
        await scene.until(begun.exists)
        stop()

    scene = Scene([child("trainer", f"open({str(begun)!r}, 'w'); signal.pause()")], [child("worker", FAITHFUL)])
    scene.play(script)
    assert not scene.ready


def test_what_may_finish_does_and_the_others_go_on() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.count("trainer finished"))
        await scene.until(lambda: scene.ready)
        stop()

    scene = Scene([child("trainer", "print('read it all')", may_finish=True)], [child("worker", FAITHFUL)])
    scene.play(script)
    assert scene.lines[0] == "trainer: read it all"


def test_when_nothing_is_left_to_keep_it_ends() -> None:
    Scene([child("trainer", "print('ready')", may_finish=True)]).play()


def test_what_a_child_writes_is_passed_on_under_its_name_however_long() -> None:
    program = "print('x' * 200_000, end='y'); print('careful', file=sys.stderr); sys.exit(0)"
    scene = Scene([child("trainer", program, may_finish=True)])
    scene.play()
    assert scene.count("trainer: careful") == 1
    assert sum(line.count("x") for line in scene.lines if "xx" in line) == 200_000


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(ChildError, match=r"cannot start worker \(/nowhere\): No such file"):
        Scene([Child("worker", ["/nowhere"])]).play()
