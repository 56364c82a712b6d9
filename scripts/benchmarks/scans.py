"""The best 10 of all items for one user at a time, by this release's scan and by its peers, in turns, on one thread.

`python -m scripts.benchmarks.scans '<job as JSON>'` prints ms a user, a number a round, for each. What is ours does more: it
makes the user's vector from the history first, and adds log-popularity to each score; the peers multiply matrices that stand
ready. FAISS is IndexFlatIP, exact as ours; implicit's topk is what its recommend() calls, for one user at a time.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

USERS: Final = 64
BEST: Final = 10
#: Of numpy's BLAS, FAISS and implicit, which read it when they are loaded.
ONE_THREAD: Final = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured."""

    items: int
    factors: int
    rounds: int
    questions: int
    """Users asked about in each round, by each."""


def measure(job: Job) -> dict[str, list[float]]:
    """Do `job` in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmarks.scans", msgspec.json.encode(job).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | ONE_THREAD)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def scans(job: Job) -> dict[str, Callable[[int], Array]]:
    """For each way of searching the function that finds the best items of a user."""
    import faiss  # noqa: PLC0415 - only this process, where ONE_THREAD is set
    from implicit.cpu.topk import topk  # noqa: PLC0415

    from streammf.learning import answers  # noqa: PLC0415
    from streammf.learning.arguments import frozen  # noqa: PLC0415
    from streammf.learning.compiling import ready  # noqa: PLC0415
    from streammf.learning.options import LearningOptions  # noqa: PLC0415
    from streammf.learning.tables import Axis, State  # noqa: PLC0415
    from streammf.state.memory import Memory  # noqa: PLC0415
    from streammf.state.options import Limits  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    ready()
    options = LearningOptions(factors=job.factors, blend=False)  # one scan, as the peers make
    memory = Memory.anonymous(options.dimensions, options.seed, limits=Limits(USERS, job.items))
    chance = np.random.default_rng(3)
    for axis, rows in ((Axis.USER, USERS), (Axis.ITEM, job.items)):
        memory.add_rows(axis, chance.integers(0, 2**63, rows, dtype=np.uint64))
    users, items = memory.state.users, memory.state.items
    users.factor[:] = chance.normal(0, 0.3, users.factor.shape)
    users.events[:] = users.taught[:] = options.history
    users.history_item[:] = chance.integers(0, job.items, users.history_item.shape)
    users.history_value[:] = 1
    items.events[:] = 1
    items.log_popularity[:] = 0.0  # the same for all: so peers, which know no popularity, must find the same items
    state = State._make(type(table)._make(map(frozen, table)) for table in memory.state)
    vectors = np.array([answers.user_vector(state, options, user) for user in range(USERS)])
    index = faiss.IndexFlatIP(job.factors)
    index.add(items.factor)
    nothing = np.empty(0, np.int32)

    def ours(user: int) -> Array:
        return answers.recommend(state, memory.counts, options, user, nothing, BEST, nothing).rows

    def flat(user: int) -> Array:
        return np.asarray(index.search(vectors[user : user + 1], BEST)[1][0])

    def implicit(user: int) -> Array:
        return np.asarray(topk(items.factor, vectors[user : user + 1], BEST, num_threads=1)[0][0])

    return {"ours": ours, "faiss": flat, "implicit": implicit}


def main() -> None:
    """Do the job that the command line names."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    ways = scans(job)
    for user in range(3):
        lists = [way(user).tolist() for way in ways.values()]
        assert lists[0] == lists[1] == lists[2], lists
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(job.rounds):
        took: dict[str, list[float]] = {name: [] for name in ways}
        for question in range(job.questions):  # in turns, one by one: whatever else the machine does meets all alike
            for name, way in ways.items():
                began = time.perf_counter()
                way((turn * job.questions + question) % USERS)
                took[name].append(1000 * (time.perf_counter() - began))
        for name, times in took.items():
            found[name].append(statistics.median(times))
    print(json.dumps(found))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
