"""What a process really did to one file: its writes and syncs in their order, as the kernel was asked for them (strace).

Rules of this file:
1. Durable is what was written before a sync, once that has returned, and what a descriptor opened with O_DSYNC wrote. All
   else may be on the disk, in part, in any order, or not.
2. Between them stands what the process said on stdout: what it promised by then.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.programs import missing, program

CALLS: Final = "openat,lseek,write,writev,pwrite64,pwritev,fsync,fdatasync"
_CALL: Final = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
STDOUT: Final = 1


class Write(NamedTuple):
    """Bytes at a place of the file."""

    at: int
    data: bytes
    durable: bool
    """Whether it was on the disk when the call returned."""


class Sync(NamedTuple):
    """Everything written before is on the disk."""


class Said(NamedTuple):
    """A piece of what went to stdout."""

    text: str


Step = Write | Sync | Said


def recorded(arguments: Sequence[str], file: Path, trace: Path, until: str) -> list[Step]:
    """Run a module of Python until it says `until`, then kill it; what it did to `file`. Skips where strace cannot be used."""
    strace = program("strace", "strace")
    options = ["-f", "-qq", "-xx", "-s", str(1 << 24), "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]
    command = [strace, *options, sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        if not any(line.startswith(until) for line in process.stdout):
            missing(f"strace cannot be used here: {process.stderr.read().strip()[-200:]}")
        process.terminate()  # strace ends what it has started
    return _steps(trace, file)


def _steps(trace: Path, file: Path) -> list[Step]:
    steps: list[Step] = []
    places: dict[int, int] = {}  # descriptor of the file → where it stands
    synchronous: set[int] = set()
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if not (found := _CALL.match(line)) or int(found[3]) < 0:
                continue
            call, rest, result = found[1], found[2], int(found[3])
            if call == "openat":
                places.pop(result, None)
                synchronous.discard(result)
                if _bytes(rest) == bytes(file):
                    places[result] = 0
                    synchronous |= {result} if "O_DSYNC" in rest else set()
                continue
            descriptor = int(rest.partition(",")[0])
            if call == "write" and descriptor == STDOUT:
                steps.append(Said(_bytes(rest).decode()))
            if descriptor not in places:
                continue
            if call == "lseek":
                places[descriptor] = result
            elif call in {"fsync", "fdatasync"}:
                steps.append(Sync())
            else:
                data = _bytes(rest)
                assert len(data) == result, "a write that came short: nothing here expects one"
                at = int(rest.rpartition(",")[2]) if call.startswith("p") else places[descriptor]
                places[descriptor] += 0 if call.startswith("p") else result
                steps.append(Write(at, data, descriptor in synchronous))
    return steps


def _bytes(rest: str) -> bytes:
    """All texts among the arguments of a call, one after the other."""
    return b"".join(bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(rest))
