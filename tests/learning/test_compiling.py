"""Which kernels are compiled for whom, how two processes share the work, and that a cache is found again."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

import streammf.learning.answers
import streammf.learning.learner
import streammf.learning.measures  # noqa: F401 - imported so that its kernels are declared
from streammf.learning.claims import Claims
from streammf.learning.compiling import Part, declared
from streammf.learning.options import LearningOptions

LEARNERS = {"learn_choices", "learn_all", "learn_ratings", "learn_all_ratings"}


def names(*parts: Part) -> set[str]:
    return {k.name.partition(":")[2] for k in declared(*parts)}


@pytest.mark.parametrize(
    ("options", "learner", "shortlist"),
    [
        (LearningOptions(), "learn_all", True),
        (LearningOptions(blend=False), "learn_choices", False),
        (LearningOptions(objective="rating"), "learn_all_ratings", False),
        (LearningOptions(objective="rating", stack=False), "learn_ratings", False),
    ],
)
def test_a_model_compiles_its_own_learner_and_what_answers_from_it_alone(
    options: LearningOptions, learner: str, shortlist: bool
) -> None:
    compiled = names(options.part)
    assert compiled & LEARNERS == {learner}
    assert ("list_blended" in compiled) == shortlist
    assert {"best", "taste", "collect"} <= compiled
    assert "_rank" not in compiled


def test_what_is_given_most_is_compiled_first() -> None:
    assert [k.name.partition(":")[2] for k in declared("blend")][:2] == ["learn_all", "list_blended"]


def started(cache: Path, threads: int = 1) -> list[str]:
    """What a process says that makes the small kernels ready."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.learning.small_kernels", str(threads)],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


def test_kernels_are_compiled_once_and_found_again(tmp_path: Path) -> None:
    *compiled, computed = started(tmp_path)
    assert compiled[-1:] == ["3 3"]
    assert computed == "2 3 6.0"
    assert started(tmp_path) == [computed]
    assert not list(tmp_path.glob("**/claims-*"))


def test_threads_may_make_the_same_kernels_ready_at_once(tmp_path: Path) -> None:
    assert started(tmp_path, threads=4)[-1] == "2 3 6.0"
    assert started(tmp_path, threads=4) == ["2 3 6.0"]


def test_who_finds_all_kernels_compiled_waits_for_nobody_who_compiles(tmp_path: Path) -> None:
    *_, computed = started(tmp_path)
    (lock,) = tmp_path.glob("**/lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert started(tmp_path) == [computed]


def test_only_one_process_takes_what_is_claimed(tmp_path: Path) -> None:
    ours, theirs = Claims(tmp_path), Claims(tmp_path)
    assert ours.take("a:b")
    assert not theirs.take("a:b")
    assert theirs.take("a:c")
    assert ours.finished() == 0
    ours.finish("a:b")
    assert theirs.finished() == 1
