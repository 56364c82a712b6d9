"""`scripts/chaos`: break a running StreamMF again and again, then count.

Records are written to a real Kafka and queries asked all the while. At the end everything is caught up with, and four things
are proven: the store holds, user by user, item by item and in its quarantine, what the log holds, counted anew; `streammf
audit` learns the log again, in the order that the store has noted, to the same digest; every snapshot is whole; and no query
failed other than by a named refusal while nobody was up.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from scripts.turmoil import verifier
from scripts.turmoil.faults import FAULTS
from scripts.turmoil.house import House
from scripts.turmoil.people import Asker, Writer
from scripts.turmoil.plan import plan
from streammf.errors import NoModelError, RequestError
from streammf.serving.client import Client
from streammf.state.store import Store

ASKERS: Final = 3
#: Seconds that catching up may take at the end.
CATCH_UP: Final = 180.0
#: Faults a minute below which a run says that it proves little; on two cores that nobody else uses there are 12.
FEWEST: Final = 4


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
    say("starting Kafka, a trainer and two workers ...")
    house = House(folder)
    try:
        house.start()
        writer, askers = Writer(house, seed), [Asker(house, seed + n) for n in range(ASKERS)]
        for person in (writer, *askers):
            person.start()
        done, revived = broken(house, seed, 60 * minutes)
        if len(done) < FEWEST * minutes:
            say(f"only {len(done)} faults in {minutes:g} minutes: this machine is too busy for the run to prove much")
        say("catching up ...")
        written = writer.finish()
        log = verifier.read(house.bootstrap)
        caught_up(house, log.events)
        for asker in askers:
            asker.finish()
        house.stop()
        say("counting, and learning everything again ...")
        proofs = proven(house, log, written, writer.lost)
    finally:
        house.close()
    counts = sum((asker.counts for asker in askers), Counter[str]())
    failures = sorted({why for asker in askers for why in asker.failures} | {*house.crashes})
    return {
        "sound": not failures and not proofs["differences"],
        "faults": dict(sorted(Counter(done).items())),
        "in this order": done,
        "the disk that was full": "a small file system" if house.small_disk else "a limit to the size of files",
        "`up` started again after it had ended by itself": revived,
        "records written": written,
        **proofs,
        "queries": dict(counts),
        "failures": failures[:10],
    }


def broken(house: House, seed: int, seconds: float) -> tuple[list[str], int]:
    """Break it until the time is over: in which ways, and how often `up` had ended by itself and was started again."""
    deadline = time.monotonic() + seconds
    done: list[str] = []
    revived = 0
    for pause, name, chance in plan(seed, list(FAULTS)):
        time.sleep(pause)
        if time.monotonic() >= deadline:
            break
        say(name)
        FAULTS[name](house, chance)
        done.append(name)
        if house.gone:
            say("`streammf up` has ended: started again")
            house.answering.clear()
            house.start()
            revived += 1
    return done, revived


def caught_up(house: House, events: int) -> None:
    """Wait until so many events are applied and durable; what is missing after a while, the verifier says."""
    client = Client(house.address, timeout=10.0)
    deadline = time.monotonic() + CATCH_UP
    committed = -1
    while time.monotonic() < deadline and committed != events:
        time.sleep(0.2)
        try:
            committed = client.info().committed
        except (NoModelError, RequestError):
            continue
    client.close()


def proven(house: House, log: verifier.Log, written: int, lost: list[str]) -> dict[str, object]:
    """What the log holds, what the audit says, and everything that does not agree."""
    odd = [f"not written: {why}" for why in lost[:5]]
    if written != log.events + log.bad.total():
        odd.append(f"{written:,} records were acknowledged, the log holds {log.events + log.bad.total():,}")
    with Store.open_readonly(house.store) as store:
        odd += verifier.differences(log, store)
    audit = house.run("audit", "--json")
    if audit.returncode:
        odd.append(f"audit: {audit.stderr.strip()}")
    snapshots = house.snapshots()
    if snapshots and (verified := house.run("snapshot", "verify")).returncode:
        odd.append(f"snapshots: {verified.stdout}{verified.stderr}")
    return {
        "events in the log, applied and durable once each": log.events,
        "records that are no events, in quarantine once each": log.bad.total(),
        "snapshots, each whole": len(snapshots),
        "audit": audit.stdout.strip(),
        "differences": odd,
    }


if __name__ == "__main__":
    sys.exit(main())
