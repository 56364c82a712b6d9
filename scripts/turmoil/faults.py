"""What goes wrong, by name.

Rules of this file:
1. A fault is a function of the house and of chance; it returns once the fault is over, healed or left to heal.
2. It draws from its chance alone, which follows from the seed: lengths, choices, places. What threads and networks do in
   between the seed does not give.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from scripts.turmoil.house import House

Fault = Callable[[House, Random], None]
#: Steps of the trainer's loop, from poll to commit, at which it can be made to fail (streammf/failpoints.py), and how.
STEPS: Final = (
    "reader.polled",
    "reader.decoded",
    "reader.prepared",
    "learner.applied",
    "header.written",
    "header.published",
    "commit.copied",
    "store.rows",
    "store.ids",
    "store.head",
    "store.committed",
    "source.advised",
)
FAILURES: Final = ("eio", "kill", "raise", "exit")


def signalled(house: House, command: str, number: signal.Signals, chance: Random) -> int | None:
    """Signal one of the children of this name; its id."""
    pids = sorted(house.children(command))
    if not pids:
        return None
    pid = pids[int(chance.random() * len(pids))]
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return pid
    return None


def kill_trainer(house: House, chance: Random) -> None:
    """SIGKILL."""
    signalled(house, "train", signal.SIGKILL, chance)


def kill_worker(house: House, chance: Random) -> None:
    """SIGKILL, once the other one answers too."""
    house.until_both_listen()
    signalled(house, "serve", signal.SIGKILL, chance)


def stop_and_go(house: House, command: str, chance: Random) -> None:
    """SIGSTOP, and SIGCONT up to two seconds later."""
    pid = signalled(house, command, signal.SIGSTOP, chance)
    time.sleep(chance.uniform(0.1, 2.0))
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def freeze_trainer(house: House, chance: Random) -> None:
    """It stands still, then goes on."""
    stop_and_go(house, "train", chance)


def freeze_worker(house: House, chance: Random) -> None:
    """It stands still, then goes on."""
    stop_and_go(house, "serve", chance)


def kill_everything(house: House, _: Random) -> None:
    """SIGKILL of `up`, whose children end with it; then a new start."""
    house.kill()
    house.start()


def restart(house: House, _: Random) -> None:
    """SIGTERM, then a new start."""
    house.stop()
    house.start()


def failing_step(house: House, chance: Random) -> None:
    """A trainer that fails at one step of its loop; then a new start of a whole one.

    Once only: of a record that a trainer dies of three times the third is rightly held for the cause.
    """
    step, failure = STEPS[int(chance.random() * len(STEPS))], FAILURES[int(chance.random() * len(FAILURES))]
    house.stop()
    house.start(f"{step}={failure}@{1 + int(chance.random() * 20)}")
    house.until_the_trainer_dies(chance.uniform(1.0, 4.0))
    house.stop()
    house.start()


def kill_broker(house: House, chance: Random) -> None:
    """SIGKILL of Kafka; up to two seconds without it."""
    house.kill_broker()
    time.sleep(chance.uniform(0.1, 2.0))
    house.start_broker()


def restart_broker(house: House, chance: Random) -> None:
    """A clean end of Kafka; up to two seconds without it."""
    house.stop_broker()
    time.sleep(chance.uniform(0.1, 2.0))
    house.start_broker()


def freeze_broker(house: House, chance: Random) -> None:
    """Kafka stands still with its connections open, then goes on."""
    house.signal_broker(signal.SIGSTOP)
    time.sleep(chance.uniform(0.1, 3.0))
    house.signal_broker(signal.SIGCONT)


def snapshot(house: House, _: Random) -> None:
    """Beside everything."""
    done = house.run("snapshot", "create")
    if done.returncode and "no model yet" not in done.stderr and "no store" not in done.stderr:
        raise AssertionError(f"snapshot: {done.stderr}")


def killed(house: House, chance: Random, *arguments: str) -> None:
    """A command that is killed somewhere on its way, or has just ended."""
    begun = house.begin(*arguments)
    with suppress(subprocess.TimeoutExpired):
        begun.wait(chance.uniform(0.3, 3.0))
    begun.kill()
    begun.wait()


def kill_snapshot(house: House, chance: Random) -> None:
    """SIGKILL of who writes a snapshot: every one that is there must be whole in the end."""
    killed(house, chance, "snapshot", "create")


def restore(house: House, chance: Random) -> None:
    """An older snapshot takes the store's place; what came since is learned again. Who restores may be killed first."""
    snapshots = house.snapshots()
    if not snapshots:
        return snapshot(house, chance)
    chosen, twice = snapshots[int(chance.random() * len(snapshots))], chance.random() < 0.5
    house.stop()
    if twice:
        killed(house, chance, "snapshot", "restore", chosen, "--overwrite")
    done = house.run("snapshot", "restore", chosen, "--overwrite")
    if done.returncode:
        raise AssertionError(f"restore: {done.stderr}")
    house.start()
    return None


def disk_full(house: House, chance: Random) -> None:
    """No room for the store, for a while: of its own small file system, or by a limit to how large files may grow."""
    with house.disk_full():
        time.sleep(chance.uniform(0.5, 3.0))


FAULTS: Final[dict[str, Fault]] = {
    "kill the trainer": kill_trainer,
    "kill a worker": kill_worker,
    "freeze the trainer": freeze_trainer,
    "freeze a worker": freeze_worker,
    "kill everything": kill_everything,
    "restart": restart,
    "fail at a step": failing_step,
    "kill the broker": kill_broker,
    "restart the broker": restart_broker,
    "freeze the broker": freeze_broker,
    "snapshot": snapshot,
    "kill a snapshot": kill_snapshot,
    "restore": restore,
    "disk full": disk_full,
}
