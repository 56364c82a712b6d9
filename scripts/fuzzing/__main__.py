"""`scripts/fuzz`: damaged and made-up bytes for everything that reads bytes of others, and nothing but typed outcomes.

Records of a log (the scanner and the codec must agree to the bit), files of events (CSV and JSONL, plain, .gz and .zst),
folders of the embedded log, requests to the server, answers to the client, manifests of snapshots.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from scripts.fuzzing import engines
from scripts.fuzzing.engines import Tried

NAMES: Final = ("records", "files", "log folders", "requests", "answers", "manifests")
#: Read by kernels, which numba does not compile beside code that atheris watches: Hypothesis makes the inputs.
UNWATCHED: Final = frozenset({"records"})
#: Seconds beyond its time that a process of atheris may take to start and to end.
BEYOND: Final = 300.0


def main() -> int:
    """Exit code 0: every input was read, or refused by name."""
    arguments = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=0.0, help="how long, all targets together")
    arguments.add_argument("--runs", type=int, default=0, help="inputs a target (default, without --minutes: 2000)")
    arguments.add_argument("--seed", type=int, default=1, help="makes the inputs (default: %(default)s)")
    arguments.add_argument("--target", choices=NAMES, action="append", help="only this one; may be given again")
    arguments.add_argument("--engine", choices=("atheris", "hypothesis"), help="default: atheris where it is installed")
    arguments.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    arguments.add_argument("--within", type=Path, help=argparse.SUPPRESS)  # a process of atheris: its folder
    given = arguments.parse_args()
    chosen = given.target or NAMES
    runs = given.runs or (0 if given.minutes else 2000)
    seconds = 60 * given.minutes / len(chosen)
    if given.within:
        engines.by_atheris(chosen[0], given.seed, runs, 60 * given.minutes, given.within)
    engine = given.engine or ("atheris" if engines.has_atheris() else "hypothesis")
    found = {name: tried(engine, name, given.seed, runs, seconds) for name in chosen}
    if given.json:
        print(json.dumps({"engine": engine, "targets": {name: one._asdict() for name, one in found.items()}}))  # noqa: T201
    else:
        for name, one in found.items():
            came = ", ".join(f"{count:,} {outcome}" for outcome, count in Counter(one.outcomes).most_common())
            by = "hypothesis" if name in UNWATCHED else engine
            print(f"{name}: {one.inputs:,} inputs by {by}: {one.fault or 'nothing but typed outcomes'} ({came})")  # noqa: T201
        print(f"{sum(one.inputs for one in found.values()):,} inputs")  # noqa: T201
    return 1 if any(one.fault for one in found.values()) else 0


def tried(engine: str, name: str, seed: int, runs: int, seconds: float) -> Tried:
    """One target."""
    with tempfile.TemporaryDirectory(prefix="streammf-fuzz-") as place:
        folder = Path(place)
        if engine == "hypothesis" or name in UNWATCHED:
            from scripts.fuzzing.targets import TARGETS  # noqa: PLC0415 - atheris loads them in processes of their own

            one = engines.by_hypothesis(TARGETS[name], seed, runs, seconds, folder / "fault")
        else:
            one = _in_a_process(name, seed, runs, seconds, folder)
        if one.fault:
            kept = Path(f"fuzz-{name.replace(' ', '-')}.bin").absolute()
            kept.write_bytes((folder / "fault").read_bytes() if (folder / "fault").exists() else b"")
            return one._replace(fault=f"{one.fault} (the input: {kept})")
        return one


def _in_a_process(name: str, seed: int, runs: int, seconds: float, folder: Path) -> Tried:
    options = ["--target", name, "--seed", str(seed), "--runs", str(runs), "--minutes", str(seconds / 60)]
    command = [sys.executable, "-m", "scripts.fuzzing", *options, "--within", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + BEYOND if seconds else None, check=False)
    one = engines.tried(folder)
    if done.returncode:
        words = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = [line for line in words if "Error" in line or "ERROR" in line] or words[-1:] or ["it said nothing"]
        return one._replace(fault=said[-1] if len(said) == 1 else f"{said[0]}; {said[-1]}")
    return one


if __name__ == "__main__":
    sys.exit(main())
