"""A model that diverges is stopped, before anybody keeps what it learned; one that does not is left alone."""

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streammf.counters.block import Block
from streammf.errors import DivergedError, ExitCode
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.state.live import LiveReader, LiveWriter
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer import note
from streammf.trainer.brake import LIMIT, WINDOW, Brake
from streammf.trainer.counting import families
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions
from streammf.trainer.quality import quality_families
from tests.learning.arrays import batch, model
from tests.trainer.sources import ListedSource, clicks
from tests.trainer.test_loop import LIMITS, OPTIONS, stored_digest, train
from tests.waiting import wait_for

SANE = LearningOptions(factors=8, history=8, recent=500)
FAST = LearningOptions(factors=8, history=8, recent=500, user_rate=10, item_rate=10, history_rate=10)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def judge(wild: Sequence[bool], sizes: Sequence[int], share: float = 0.2) -> None:
    """Let a brake judge events of which these are wild, in batches of these sizes."""
    state = model(SANE, users=2, items=1, events=1).state
    state.users.factor[1, 3] = LIMIT * 1.01
    brake = Brake(share)
    users = np.array(wild, np.int32)
    for part in np.split(users, np.cumsum(sizes)):
        brake.judge(state, batch(part, np.zeros(len(part))))


@pytest.mark.parametrize("sizes", [[], [1] * 50, [700, 1, 900], [199, 2]])
def test_more_than_the_share_of_a_window_is_divergence_whatever_the_batches(sizes: list[int]) -> None:
    calm = [False] * (WINDOW - 200)
    judge([True] * 200 + calm + [True] * 200 + calm, sizes)
    with pytest.raises(DivergedError, match="201 of 1,000"):
        judge([*calm, *[True] * 201], sizes)
    with pytest.raises(DivergedError, match="201 of 1,000"):
        judge([True] * 200 + calm[1:] + [True], sizes)


def test_a_share_of_one_never_stops() -> None:
    judge([True] * 3 * WINDOW, [], share=1.0)


def test_what_is_no_number_is_wild() -> None:
    state = model(SANE, users=1, items=1, events=1).state
    state.items.factor[0, 0] = np.nan
    with pytest.raises(DivergedError):
        Brake(0.2).judge(state, batch(np.zeros(300), np.zeros(300)))


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_sane_rates_are_left_alone_and_rates_of_ten_are_not(tmp_path: Path, objective: Any) -> None:
    kind = {"objective": objective, "factors": 8, "history": 8, "recent": 500}
    train(tmp_path / "sane", ListedSource(clicks(5_000)), LearningOptions(**kind))
    with pytest.raises(DivergedError) as caught:
        train(tmp_path, ListedSource(clicks(5_000)), LearningOptions(**kind, user_rate=10, item_rate=10, history_rate=10))
    assert caught.value.exit_code == ExitCode.DIVERGED


def test_what_diverged_is_dropped_and_the_last_commit_is_shown_until_it_is_told_to_stop(tmp_path: Path) -> None:
    events = clicks(8_000)
    train(tmp_path, ListedSource(events[:2_000]), SANE)
    good = stored_digest(tmp_path)
    never = TrainerOptions(idle_seconds=0.01, commit_seconds=3600, commit_events=10**9)
    with pytest.raises(DivergedError):
        train(tmp_path, ListedSource(events), FAST, never)
    assert stored_digest(tmp_path) == good
    block, stop = Block.private((*families(FAST.types), *quality_families(FAST))), threading.Event()
    with (
        closing(Store.open(StoreOptions(path=str(tmp_path / "store")))) as store,
        closing(LiveWriter(tmp_path / "live", FAST, LIMITS)) as live,
    ):
        trainer = Trainer(ListedSource(events), store, live, FAST, OPTIONS, block)
        waiting = threading.Thread(target=trainer.wait, args=(stop, "it diverged"))
        waiting.start()
        with closing(LiveReader(tmp_path / "live")) as reader:
            wait_for(lambda: reader.view().header.events == 2_000, "the generation of the last commit")
            assert reader.view().header.status == "stopped"
            assert (block.value("diverged"), note.read(block).doing) == (1.0, "it diverged")
        stop.set()
        waiting.join(30)
    assert stored_digest(tmp_path) == good
    train(tmp_path, ListedSource(events), SANE)
    with Store.open_readonly(tmp_path / "store") as opened:
        last = opened.meta()
    assert last is not None
    assert last.events == 8_000, "at sane rates it goes on"
