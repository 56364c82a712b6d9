"""The command line: one file a command, each imported only when it is called.

Rules of this file:
1. Nothing here or above a command's imports loads numba, LMDB, Kafka or rich: `streammf --help` is there at once.
2. An error that StreamMF raises on purpose is one line on stderr and its own exit code; only what nobody foresaw shows
   a traceback.
3. Results go to stdout, everything else to stderr.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

import click

from streammf import __version__
from streammf.cli.printable import printable
from streammf.errors import ExitCode, StreamMFError

#: Command → its line in `streammf --help`, in the order in which a newcomer meets them.
COMMANDS: Final = {
    "demo": "See it work: no Kafka, no download, under a minute.",
    "up": "Learn and answer: a trainer and query workers, kept running.",
    "train": "Learn only: the trainer by itself.",
    "serve": "Answer only: the query workers.",
    "track": "Write events to the log.",
    "query": "Ask a running server.",
    "replay": "Copy a file of events to Kafka or to the embedded log.",
    "evaluate": "Measure how well a log can be foretold, beside every simple method.",
    "tune": "Search for better settings of learning on a log.",
    "audit": "Learn the log again, and compare: nothing lost, nothing twice.",
    "snapshot": "Copy, restore, compare or fingerprint the store.",
    "doctor": "Read the whole store and say what is wrong with it.",
    "quarantine": "List, show, requeue or drop the records that were set aside.",
    "config": "Show every setting and where it comes from.",
}

#: What a shell says of a program that Ctrl-C ended.
INTERRUPTED: Final = 130


class Commands(click.Group):
    """A group that knows its commands by name and loads one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of streammf.cli.<name>."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"streammf.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings: streammf.toml, STREAMMF_<SECTION>__<KEY>, or flags; `streammf config` shows them all.",
)
@click.version_option(__version__, prog_name="streammf")
def group() -> None:
    """A streaming recommender: learns from every event the moment it arrives, and answers while it learns."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code."""
    try:
        code = group.main(arguments, prog_name="streammf", standalone_mode=False)
        sys.stdout.flush()
    except StreamMFError as error:
        sys.exit(_say(str(error), error.exit_code))
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        sys.exit(ExitCode.USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "streammf"
        sys.exit(_say(f"{error.format_message()} (see `{path} --help`)", ExitCode.USAGE))
    except click.ClickException as error:
        sys.exit(_say(error.format_message(), error.exit_code))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `streammf query ... | head`: the reader has enough, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.DONE)
    sys.exit(code if isinstance(code, int) else ExitCode.DONE)


def _say(message: str, code: int) -> int:
    """One line, whatever a library put into the message."""
    sys.stderr.write(f"streammf: {printable(' '.join(message.split()))}\n")
    return int(code)
