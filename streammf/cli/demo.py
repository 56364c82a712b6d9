"""`streammf demo`: everything at work, on a made-up world."""

import tempfile
from pathlib import Path

import click
from rich.console import Console

from streammf.operations import demo

EXAMPLES = """\b
Examples:
  streammf demo
  streammf demo --keep"""


@click.command(epilog=EXAMPLES)
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Another seed, another world.")
@click.option("--keep", is_flag=True, help="Leave it running at the end, until Ctrl-C.")
def command(seed: int, keep: bool) -> None:
    """Stream a small world through a trainer and two workers; click; crash; count. Needs nothing but this machine."""
    with tempfile.TemporaryDirectory(prefix="streammf-demo-") as folder:
        demo.run(Console(), Path(folder), seed, keep=keep)
