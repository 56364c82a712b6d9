"""Flags that several commands share, and how they become settings.

Rules of this file:
1. A flag is a setting's short form: it overrides file and environment, and an error names the flag.
2. A process that starts others hands its flags on as environment variables, which they read in the usual way.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from streammf.operations.configuration import Setting
from streammf.operations.wording import toml

Command = TypeVar("Command", bound=Callable[..., Any])
Flags = dict[str, dict[str, Setting]]

config_flag: Final = click.option(
    "--config", "file", metavar="FILE", help="Settings (TOML). Default: ./streammf.toml, or $STREAMMF_CONFIG."
)
json_flag: Final = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, for programs.")
workers_flag: Final = click.option("--workers", type=int, help="Query workers: serving.workers.")
host_flag: Final = click.option("--host", help="Address to listen on: serving.host.")
port_flag: Final = click.option("--port", type=int, help="Port to listen on: serving.port.")
parent_flag: Final = click.option(
    "--parent", type=int, hidden=True, help="Stop when this process is gone: how `up` starts its children."
)
number_flag: Final = click.option(
    "--number", type=int, default=1, hidden=True, help="Which of several workers this is: under what its numbers stand."
)

_SOURCE_FLAGS: Final = (
    click.option("--source", metavar="KIND", help="log, file or kafka: source.kind."),
    click.option("--path", help="Folder of the embedded log, or the file: source.path."),
    click.option("--bootstrap", metavar="HOST:PORT", help="Kafka brokers: source.bootstrap_servers."),
    click.option("--topic", "topics", multiple=True, help="Kafka topic, repeatable: source.topics."),
)
loss_flag: Final = click.option(
    "--on-data-loss",
    type=click.Choice(["stop", "accept"]),
    help="Where the log has lost events that were still to be learned, or is another log: source.on_data_loss.",
)


def source_flags(command: Command) -> Command:
    """The flags that choose the log of events."""
    for flag in reversed(_SOURCE_FLAGS):
        command = flag(command)
    return command


def source_settings(
    source: str | None, path: str | None, bootstrap: str | None, topics: tuple[str, ...], on_data_loss: str | None = None
) -> Flags:
    """Those flags as settings."""
    return settings(
        "source",
        {
            "kind": ("--source", source),
            "path": ("--path", path),
            "bootstrap_servers": ("--bootstrap", bootstrap),
            "topics": ("--topic", list(topics) or None),
            "on_data_loss": ("--on-data-loss", on_data_loss),
        },
    )


def serving_settings(host: str | None, port: int | None, workers: int | None) -> Flags:
    """The flags of the query workers as settings."""
    return settings("serving", {"host": ("--host", host), "port": ("--port", port), "workers": ("--workers", workers)})


def settings(section: str, flags: Mapping[str, tuple[str, object]]) -> Flags:
    """key → (flag, value) as settings; a flag that was not given (None) says nothing."""
    return {section: {key: Setting(value, flag) for key, (flag, value) in flags.items() if value is not None}}


def as_environment(flags: Flags) -> dict[str, str]:
    """Flags as the variables that say the same to a child; telemetry is the parent's, for all its children."""
    flags = flags | settings("telemetry", {"enabled": ("its parent", False)})
    return {
        f"STREAMMF_{section}__{key}".upper(): toml(setting.value)
        for section, values in flags.items()
        for key, setting in values.items()
    }
