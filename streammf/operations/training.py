"""The trainer as a process: opens what the configuration names, learns until told to stop, closes in order.

Rules of this file:
1. What fails fast comes first: settings, store, log; then kernels are compiled, and only then memory is taken.
2. SIGTERM and SIGINT ask the loop to stop, which commits the last batch; the process ends by itself.
"""

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from streammf.learning import compiling
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import Configuration
from streammf.operations.sources import named, open_source
from streammf.state import generation
from streammf.state.live import LiveOptions, LiveWriter, live_path
from streammf.state.store import Store, StoreOptions
from streammf.trainer.loop import Trainer
from streammf.trainer.options import TrainerOptions


def give_back(configuration: Configuration) -> None:
    """Free the live memory, once nobody writes or serves it any more: it would outlive every process."""
    generation.remove(live_path(configuration.of(LiveOptions), Path(configuration.of(StoreOptions).path)))


def run_trainer(configuration: Configuration, ready: Callable[[str], None], compiled: Callable[[int, int], None]) -> int:
    """Learn until SIGTERM, SIGINT or the end of a file; the number of events durable then. Raises StreamMFError.

    `ready` is told, in words, what is learned and where; `compiled(done, of)` how far the kernels are.
    """
    configuration.check()
    learning, live, store_options = (
        configuration.of(LearningOptions),
        configuration.of(LiveOptions),
        configuration.of(StoreOptions),
    )
    base = live_path(live, Path(store_options.path))
    stop = threading.Event()
    with ExitStack() as open_parts:
        store = open_parts.enter_context(closing(Store.open(store_options)))
        source = open_parts.enter_context(closing(open_source(configuration)))
        compiling.ready(compiled)
        writer = open_parts.enter_context(closing(LiveWriter(base, learning, live.limits)))
        trainer = Trainer(source, store, writer, learning, configuration.of(TrainerOptions))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        where = f"{named(configuration)}, store {store_options.path}, live memory {base}"
        trainer.run(stop, lambda: ready(f"{trainer.events:,} events learned from {where}"))
        return trainer.events
