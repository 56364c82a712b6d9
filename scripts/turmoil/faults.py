"""What goes wrong, by name, and when: all of it follows from the seed.

Rules of this file:
1. A fault is a function of the house and of chance; it returns once the fault is over, healed or left to heal.
2. The seed gives the order of faults, their lengths and the pauses between them. What threads and networks do in between it
   does not give.
"""

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from scripts.turmoil.house import House

Fault = Callable[[House, Random], None]


def signalled(house: House, command: str, number: signal.Signals, chance: Random) -> int | None:
    """Signal one of the children of this name; its id."""
    pids = house.children(command)
    if not pids:
        return None
    pid = chance.choice(pids)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return pid
    return None


def kill_trainer(house: House, chance: Random) -> None:
    """SIGKILL."""
    signalled(house, "train", signal.SIGKILL, chance)


def kill_worker(house: House, chance: Random) -> None:
    """SIGKILL."""
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


def snapshot(house: House, _: Random) -> None:
    """Beside everything."""
    done = house.run("snapshot", "create")
    if done.returncode and "no model yet" not in done.stderr and "no store" not in done.stderr:
        raise AssertionError(f"snapshot: {done.stderr}")


def restore(house: House, chance: Random) -> None:
    """An older snapshot takes the store's place; what came since is learned again."""
    snapshots = sorted(path for path in (house.folder / "snapshots").glob("*") if not path.name.startswith("."))
    if not snapshots:
        return snapshot(house, chance)
    house.stop()
    done = house.run("snapshot", "restore", str(chance.choice(snapshots)), "--overwrite")
    if done.returncode:
        raise AssertionError(f"restore: {done.stderr}")
    house.start()
    return None


def disk_full(house: House, chance: Random) -> None:
    """No file of the trainer may grow, for a while: what a full disk says to LMDB."""
    pids = house.children("train")
    data = house.store / "data.mdb"
    if not pids or not data.exists():
        return
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pids[0], resource.RLIMIT_FSIZE, (data.stat().st_size // 2, resource.RLIM_INFINITY))
        time.sleep(chance.uniform(0.5, 1.5))
        if Path(f"/proc/{pids[0]}").exists():
            resource.prlimit(pids[0], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


FAULTS: Final[dict[str, Fault]] = {
    "kill the trainer": kill_trainer,
    "kill a worker": kill_worker,
    "freeze the trainer": freeze_trainer,
    "freeze a worker": freeze_worker,
    "kill everything": kill_everything,
    "restart": restart,
    "kill the broker": kill_broker,
    "restart the broker": restart_broker,
    "snapshot": snapshot,
    "restore": restore,
    "disk full": disk_full,
}
