import threading
from contextlib import closing
from pathlib import Path

import numpy as np

from streammf.counters.block import Block
from streammf.events.event import REASONS
from streammf.learning.compiling import ready
from streammf.state.live import LiveWriter
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer.counting import AGES, OLDEST, TrainerCounters, families
from streammf.trainer.loop import Trainer
from streammf.trainer.quality import quality_families
from tests.trainer.sources import clicks
from tests.trainer.test_loop import LEARNING, LIMITS, OPTIONS, RewindingSource


def buckets(block: Block, name: str) -> tuple[float, ...]:
    family = next(family for family in block.families if family.name == name)
    return next(block.read(family)).numbers


def test_a_run_counts_every_event_once_under_its_type_and_outcome(tmp_path: Path) -> None:
    ready()
    block = Block.private((*families(LEARNING.types), *quality_families(LEARNING)))
    odd = [b"{", b'{"user":"u","item":"i","type":"odd"}', b'{"item":"i","type":"item"}']
    source = RewindingSource([*clicks(100), *odd], most=10)
    with (
        closing(Store.open(StoreOptions(path=str(tmp_path / "store")))) as store,
        closing(LiveWriter(tmp_path / "live", LEARNING, LIMITS)) as live,
    ):
        Trainer(source, store, live, LEARNING, OPTIONS, block).run(threading.Event())
    assert block.value("events_total", "click", "applied") == 100
    assert block.value("events_total", "click", "already_applied") == 10
    assert block.value("controls_total", "item") == 1
    assert {reason for reason in REASONS if block.value("rejected_total", reason)} == {"malformed", "unknown_type"}
    *_, sum_of_batches = buckets(block, "batch_events")
    assert 103 <= sum_of_batches <= 113
    batches = sum(buckets(block, "batch_events")[:-1])
    for name in ("decode_seconds", "learn_seconds"):
        assert sum(buckets(block, name)[:-1]) == batches
    assert sum(buckets(block, "freshness_seconds")[:-1]) == 100
    assert sum(buckets(block, "commit_write_seconds")[:-1]) == sum(buckets(block, "commit_copy_seconds")[:-1]) >= 1
    assert block.value("heartbeat") > 1e9


def test_freshness_is_never_negative_and_years_count_as_a_day() -> None:
    block = Block.private(families(["click"]))
    now = 1_700_000_000.0
    ages = [-5.0, 0.0, 0.02, 0.02, 100.0, 1e9]
    TrainerCounters(block, ["click"]).visible(np.array([(now - age) * 1000 for age in ages], np.int64), now)
    found = buckets(block, "freshness_seconds")
    assert found[0] == 2
    assert found[AGES.index(0.025)] == 2
    assert found[AGES.index(300.0)] == 1
    assert found[len(AGES)] == 1
    assert abs(found[-1] - (0.04 + 100.0 + OLDEST)) < 0.01
