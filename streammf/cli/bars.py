"""Progress of work that takes a while: bars on a terminal, else a line every few seconds; both on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

#: Seconds between two lines of progress where there is no terminal.
_LINE_EVERY: Final = 3.0

Progress = Callable[[int, int], None]
"""(done, of); of = 0: nobody knows."""


@contextmanager
def bars() -> Iterator[Callable[[str], Progress]]:
    """What makes a bar of a name. A bar is there from its first progress on."""
    if not sys.stderr.isatty():
        yield _lines
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks at it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as shown:

        def bar(name: str) -> Callable[[int, int], None]:
            tasks: list[TaskID] = []

            def show(done: int, of: int) -> None:
                if not tasks:
                    tasks.append(shown.add_task(name, total=None))
                shown.update(tasks[0], completed=done, total=of or None)

            return show

        yield bar


def _lines(name: str) -> Progress:
    due = time.monotonic() + _LINE_EVERY

    def show(done: int, of: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_EVERY
            click.echo(f"{name}: {done:,}" + (f" of {of:,}" if of else ""), err=True)

    return show
