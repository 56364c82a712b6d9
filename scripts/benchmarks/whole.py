"""The whole trainer on a topic, as `streammf train` runs it, but that it ends with the last event.

The clock starts at its first poll and stops when everything is learned, published and durable.
"""

import threading
import time
from contextlib import closing
from pathlib import Path

from scripts.benchmarks.settings import Setting, learning
from streammf.events.kafka import KafkaOptions, KafkaRecords, KafkaSource
from streammf.learning.compiling import ready
from streammf.operations.training import settle_interpreter
from streammf.state.live import LiveWriter
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions


class Bounded(KafkaSource):
    """A topic that ends after `count` records, and remembers when it was first asked for one."""

    def __init__(self, options: KafkaOptions, count: int) -> None:
        super().__init__(options)
        self._left = count
        self.asked = 0.0
        """When it was first polled, by the performance counter."""

    def poll(self, most: int, timeout: float) -> KafkaRecords | None:
        """As the topic's, up to the end."""
        self.asked = self.asked or time.perf_counter()
        records = super().poll(most, timeout) if self._left > 0 else None
        if records is not None:
            self._left -= len(records.values)
        self.exhausted = self._left <= 0
        return records


def train(address: str, topic: str, count: int, setting: Setting, folder: Path, live: Path) -> float:
    """Seconds from the first poll until the last of `count` events is learned, published and durable."""
    options = learning(setting)
    ready()
    with (
        closing(Bounded(KafkaOptions(bootstrap_servers=address, topics=[topic]), count)) as source,
        closing(Store.open(StoreOptions(path=str(folder / "store")))) as store,
        closing(LiveWriter(live, options)) as writer,
    ):
        trainer = Trainer(source, store, writer, options, TrainerOptions())
        settle_interpreter()
        trainer.run(threading.Event())
        seconds = time.perf_counter() - source.asked
        meta = store.meta()
    if meta is None or not meta.events == trainer.events == count:
        raise AssertionError(f"{trainer.events} learned, {meta and meta.events} durable of {count} events")
    return seconds
