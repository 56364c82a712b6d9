"""`scripts/chaos`: break a running StreamMF again and again, then count.

Events are written to a real Kafka and queries asked all the while. At the end everything is caught up with, and three things
are proven: as many events were applied as Kafka acknowledged; `streammf audit` learns the log again, in the order that the
store has noted, to the same digest; and no query failed other than by a named refusal while nobody was up.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from scripts.turmoil.faults import FAULTS
from scripts.turmoil.house import House
from scripts.turmoil.people import Asker, Writer
from streammf.errors import NoModelError, RequestError
from streammf.serving.client import Client

ASKERS: Final = 3
#: Seconds that catching up may take at the end.
CATCH_UP: Final = 180.0


def say(text: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """Exit code 0: nothing lost, nothing twice, nobody failed."""
    arguments = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=1.0, help="how long (default: %(default)g)")
    arguments.add_argument("--seed", type=int, default=1, help="gives faults, their order and lengths (default: %(default)s)")
    arguments.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="streammf-chaos-") as name:
        found = turmoil(Path(name), given.minutes, given.seed)
    if given.json:
        print(json.dumps(found))  # noqa: T201
    else:
        for what, value in found.items():
            print(f"{what}: {value}")  # noqa: T201
    return 0 if found["sound"] else 1


def turmoil(folder: Path, minutes: float, seed: int) -> dict[str, object]:
    """Everything; what was found."""
    chance = Random(seed)
    say("starting Kafka, a trainer and two workers ...")
    house = House(folder)
    try:
        house.start()
        writer, askers = Writer(house, seed), [Asker(house, seed + n) for n in range(ASKERS)]
        for person in (writer, *askers):
            person.start()
        done, revived = broken(house, chance, 60 * minutes)
        say("catching up ...")
        written = writer.finish()
        applied = caught_up(house, written)
        for asker in askers:
            asker.finish()
        house.stop()
        say("learning everything again ...")
        audit = house.run("audit", "--json")
        return result(done, revived, writer, askers, written, applied, audit.returncode, audit.stdout or audit.stderr)
    finally:
        house.close()


def broken(house: House, chance: Random, seconds: float) -> tuple[Counter[str], int]:
    """Break it until the time is over: how often each way, and how often `up` had ended by itself and was started again."""
    deadline = time.monotonic() + seconds
    done: Counter[str] = Counter()
    revived = 0
    names = list(FAULTS)
    waiting: list[str] = []
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0.3, 2.0))
        if not waiting:  # each once before any again
            waiting = chance.sample(names, len(names))
        name = waiting.pop()
        say(name)
        FAULTS[name](house, chance)
        done[name] += 1
        if house.gone:
            say("`streammf up` has ended: started again")
            house.answering.clear()
            house.start()
            revived += 1
    return done, revived


def caught_up(house: House, written: int) -> int:
    """Events applied and durable, once they are as many as were written, or no longer rise."""
    client = Client(house.address, timeout=10.0)
    deadline = time.monotonic() + CATCH_UP
    committed = -1
    while time.monotonic() < deadline and committed != written:
        time.sleep(0.2)
        try:
            committed = client.info().committed
        except (NoModelError, RequestError):
            continue
    client.close()
    return committed


def result(
    done: Counter[str], revived: int, writer: Writer, askers: list[Asker], written: int, applied: int, code: int, audit: str
) -> dict[str, object]:
    """What is printed."""
    counts = sum((asker.counts for asker in askers), Counter[str]())
    failures = [why for asker in askers for why in asker.failures]
    sound = not writer.lost and applied == written and code == 0 and not failures
    return {
        "sound": sound,
        "faults": dict(sorted(done.items())),
        "`up` started again after it had ended by itself": revived,
        "events written": written,
        "events applied and durable": applied,
        "audit": audit.strip(),
        "queries": dict(counts),
        "failures": sorted(set(failures))[:10],
        "not written": writer.lost[:10],
    }


if __name__ == "__main__":
    sys.exit(main())
