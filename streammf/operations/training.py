"""The trainer as a process: opens what the configuration names, learns until told to stop, closes in order.

Rules of this file:
1. What fails fast comes first: settings, store, log; then kernels are compiled, and only then memory is taken.
2. SIGTERM and SIGINT ask the loop to stop, which commits the last batch; the process ends by itself.
3. A log that is out of reach is waited for once it was learned from; the first time, an error names it soon.
4. A model that diverged is replaced by a generation of the last commit; then it waits to be told to stop, so that nobody starts
   it anew to diverge again, and queries are answered meanwhile.
5. What it is doing instead of learning, and why it ended, stands in its note, for who is asked whether it is ready.
"""

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from streammf.counters.block import Block
from streammf.counters.slot import FOLDER, Slot, take
from streammf.errors import DataLossError, DivergedError, StoreBusyError, StreamMFError, UnreachableError
from streammf.events.source import Source
from streammf.learning import compiling
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import Configuration
from streammf.operations.readiness import TRAINER
from streammf.operations.sources import accepts_loss, named, open_dead_letters, open_source
from streammf.operations.telemetry import TRAINERS, telemetry_of
from streammf.state.generation import removed
from streammf.state.live import LiveWriter
from streammf.state.options import LiveOptions, StoreOptions, live_path
from streammf.state.region import not_writable
from streammf.state.store import Store
from streammf.trainer import note
from streammf.trainer.counting import families
from streammf.trainer.dead_letters import DeadLetters
from streammf.trainer.keeper import Keeper
from streammf.trainer.loop import Trainer
from streammf.trainer.losses import REMEDY
from streammf.trainer.note import Note
from streammf.trainer.options import TrainerOptions
from streammf.trainer.quality import quality_families

#: How long a thread that wants the interpreter waits before it is asked for, s. The learner wants it after each batch, and
#: Python's own 5 ms are longer than a batch takes to learn.
SWITCH_SECONDS: Final = 0.0005
#: Objects made and not yet gone, from which on Python looks for cycles. A batch holds thousands of records and none of them is
#: in a cycle; Python's own 700 make it look at all of them several times, and learner and committer wait meanwhile.
MANY_OBJECTS: Final = 100_000


def settle_interpreter() -> None:
    """Set Python up for a process in which one thread reads and another learns, once everything is imported."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what was imported stays; each full collection would look at all of it, and learning would wait 35 ms
    gc.set_threshold(MANY_OBJECTS)


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
        slot = open_parts.enter_context(closing(_slot(base, learning)))
        block = slot.block
        keeper = Keeper(store, store_options, block)
        asked_at = open_parts.enter_context(telemetry_of(configuration, TRAINERS, slot))
        open_parts.enter_context(_reason_noted(block))
        note.write(block, Note(doing="the trainer opens the log"))
        source = open_parts.enter_context(closing(_opened(configuration, store, block)))
        outlet = open_dead_letters(configuration)
        if outlet is not None:
            dead_letters = open_parts.enter_context(closing(DeadLetters(store, outlet, block)))
            dead_letters.start()
        note.write(block, Note(doing="the trainer compiles its kernels"))
        compiling.ready(learning.part, report=compiled)
        note.write(block, Note(doing="the trainer reads back what it had learned"))
        writer = open_parts.enter_context(closing(LiveWriter(base, learning, live.limits)))
        if slot.removed:  # while the log was waited for, or kernels were compiled
            raise removed(base)
        accept, options = accepts_loss(configuration), configuration.of(TrainerOptions)
        trainer = Trainer(source, store, writer, learning, options, block, accept_loss=accept)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        open_parts.enter_context(keeper)
        settle_interpreter()
        where = f"{named(configuration)}, store {store_options.path}, live memory {base}{asked_at}"
        try:
            trainer.run(stop, lambda: ready(f"{trainer.events:,} events learned from {where}"))
        except DivergedError as error:
            print(f"{error}", file=sys.stderr, flush=True)  # noqa: T201 - it ends only when it is told to
            writer.close()
            last_good = open_parts.enter_context(closing(LiveWriter(base, learning, live.limits)))
            Trainer(source, store, last_good, learning, options, block, accept_loss=accept).wait(stop, str(error))
            raise
        return trainer.events


def _opened(configuration: Configuration, store: Store, block: Block) -> Source:
    """The log. Whoever has learned from it knows that the settings are right, and waits for as long as it is away."""
    while True:
        try:
            return open_source(configuration)
        except UnreachableError as error:
            meta = store.meta()
            if meta is None or not meta.positions:
                raise
            note.write(block, Note(doing="the trainer waits for the log", trouble=str(error)))


def _slot(base: Path, learning: LearningOptions) -> Slot:
    """Where this trainer counts."""
    try:
        return take(base / FOLDER, TRAINER, (*families(learning.types), *quality_families(learning)))
    except BlockingIOError:
        raise StoreBusyError(
            f"another trainer uses the live memory at {base}: stop it, or set live.path to another folder"
        ) from None
    except OSError as error:
        raise not_writable(base / FOLDER, error) from error


@contextmanager
def _reason_noted(block: Block) -> Iterator[None]:
    """The trainer's last word, for as long as there is no successor."""
    try:
        yield
    except DataLossError as error:
        said = f"{error}; {REMEDY}"
        note.write(block, Note(doing=f"the trainer has ended: {said}"))
        raise DataLossError(said) from error
    except StreamMFError as error:
        note.write(block, Note(doing=f"the trainer has ended: {error}"))
        raise
