"""Whether the log still holds what a store or a snapshot asks for: the positions that learning would go on from.

Rules of this file:
1. The question is the trainer's own at its start, asked before anybody relies on the answer.
2. The log is only looked at: nothing is read from it, and one that is not there is not begun.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from streammf.errors import DataLossError
from streammf.events.log import LogOptions, LogSource
from streammf.events.source import Source
from streammf.operations.configuration import Configuration
from streammf.operations.sources import open_source
from streammf.state.meta import Position
from streammf.trainer.losses import settle


@contextmanager
def log_of(configuration: Configuration) -> Iterator[Callable[[Sequence[Position]], str]]:
    """Tells why positions are lost; empty: the log holds them all. Raises SourceError where the log cannot be reached."""
    is_embedded = configuration.kind("source") == "log"
    source: Source = LogSource(Path(configuration.of(LogOptions).path)) if is_embedded else open_source(configuration)
    with closing(source):

        def lost(positions: Sequence[Position]) -> str:
            try:
                settle(source, positions, (), accept=False)
            except DataLossError as error:
                return str(error)
            return ""

        yield lost
