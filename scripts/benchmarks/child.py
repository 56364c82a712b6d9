"""One measurement in a process of its own: `python -m scripts.benchmarks.child '<job as JSON>'` prints what it found.

A process of its own, because whatever ran before would be felt: warm caches, a grown heap, threads that still end.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from scripts.benchmarks import data
from scripts.benchmarks.settings import Setting, learning

Part = Literal["bare", "whole", "arrays", "ids", "river", "isgd", "rmse", "river rmse"]


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """What is to be measured."""

    part: Part
    setting: Setting = "plain"
    """See settings.py."""
    events: int = 0
    data: str = ""
    """Folder of MovieLens; empty: the made-up events."""
    address: str = ""
    topic: str = ""
    folder: str = ""
    """Where a store may be made."""


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """What it came to."""

    number: float
    """Seconds, or an error."""
    busy: float
    """Processor seconds of the whole process, its start included."""


def measure(job: Job) -> Found:
    """Do `job` in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.child", msgspec.json.encode(job).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Found)


def number(job: Job) -> float:
    """Do `job` in this process. Each part is imported where it is used: no other part's threads and caches are there."""
    match job.part:
        case "bare":
            from scripts.benchmarks import bare  # noqa: PLC0415

            return bare.consume(job.address, job.topic, job.events)
        case "whole":
            from scripts.benchmarks import whole  # noqa: PLC0415

            with tempfile.TemporaryDirectory(dir=job.folder) as folder, _memory() as live:
                at = (job.address, job.topic, job.events)
                return whole.train(*at, job.setting, Path(folder), Path(live))
        case "isgd":
            from scripts.benchmarks import peer_isgd  # noqa: PLC0415

            return peer_isgd.learn(_events(job))
        case "river" | "river rmse":
            from scripts.benchmarks import peer_river  # noqa: PLC0415

            return (peer_river.learn if job.part == "river" else peer_river.rmse)(_events(job))
    from scripts.benchmarks import kernels  # noqa: PLC0415

    does = {"arrays": kernels.learn_arrays, "ids": kernels.learn_ids, "rmse": kernels.rmse}
    return does[job.part](learning(job.setting), _events(job))


def _events(job: Job) -> data.Events:
    return data.movielens(Path(job.data)) if job.data else data.zipf_events(job.events)


def _memory() -> "tempfile.TemporaryDirectory[str]":
    """A folder in memory: where live memory stands by default."""
    shm = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None, prefix="streammf-bench-")


def main() -> None:
    """Do the job that the command line names."""
    found = number(msgspec.json.decode(sys.argv[1], type=Job))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    busy = usage.ru_utime + usage.ru_stime
    print(msgspec.json.encode(Found(number=found, busy=busy)).decode())  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
