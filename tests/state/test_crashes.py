"""SIGKILL between and inside commits: what is there afterwards is one committed state, and no reported one is lost."""

import random
import subprocess
import sys
import time
from pathlib import Path

from streammf.state.digest import digest
from streammf.state.store import Store
from tests.state.models import digest_after, numbered, positions

ROUNDS = 8


def killed(folder: Path, rounds: random.Random) -> tuple[int, int]:
    """(events recovered at the start, last commit that was reported) of a writer that was killed in some commit."""
    command = [sys.executable, "-m", "tests.state.models", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            recovered = promised = int(writer.stdout.readline().removeprefix("recovered "))
            fatal = recovered + rounds.randrange(1, 6)
            for line in writer.stdout:
                word, number = line.split()
                if word == "committed":
                    promised = int(number)
                if (word, int(number)) == ("committing", fatal):
                    break
            end = time.perf_counter() + rounds.uniform(0, 0.008)  # a commit takes some ms: the place of the kill is drawn
            while time.perf_counter() < end:
                pass
        finally:
            writer.kill()
        rest = [line.split() for line in writer.stdout]
        return recovered, max([promised, *(int(number) for word, number in rest if word == "committed")])


def test_a_killed_writer_leaves_a_committed_state_and_loses_none_that_it_reported(tmp_path: Path) -> None:
    rounds = random.Random(5)
    last = 0
    for _ in range(ROUNDS):
        recovered, promised = killed(tmp_path, rounds)
        assert recovered == last
        with Store.open_readonly(tmp_path) as store:
            meta = store.meta()
            assert meta
            last = meta.events
            assert promised <= last <= promised + 1
            assert meta.positions == positions(last)
            assert (meta.commit, meta.rejected) == (last, len(numbered(last)))
            assert digest(store) == digest_after(last)
