"""`streammf up`: trainer and query workers in one, kept running."""

import asyncio
import os
from pathlib import Path

import click

from streammf.cli.flags import (
    as_environment,
    config_flag,
    host_flag,
    loss_flag,
    port_flag,
    serving_settings,
    source_flags,
    source_settings,
    workers_flag,
)
from streammf.cli.serve import worker_children
from streammf.operations.configuration import load
from streammf.operations.port import hold
from streammf.operations.process import begin, say_ready, say_starting
from streammf.operations.supervisor import Child, Supervisor, own_command
from streammf.serving.options import ServingOptions

EXAMPLES = """\b
Examples:
  streammf up
  streammf up --source kafka --bootstrap 127.0.0.1:9092 --topic events --workers 4
  streammf up --config production.toml"""


@click.command(epilog=EXAMPLES)
@source_flags
@loss_flag
@workers_flag
@host_flag
@port_flag
@config_flag
def command(
    source: str | None,
    path: str | None,
    bootstrap: str | None,
    topics: tuple[str, ...],
    on_data_loss: str | None,
    workers: int | None,
    host: str | None,
    port: int | None,
    file: str | None,
) -> None:
    """Learn and answer, until SIGTERM or Ctrl-C: a trainer and query workers, started again when they die.

    Without settings the events are those of an embedded log, ./streammf-data/log, which `streammf track` writes to.
    """
    begin(None)
    flags = source_settings(source, path, bootstrap, topics, on_data_loss) | serving_settings(host, port, workers)
    configuration = load(file, flags=flags)
    options = configuration.of(ServingOptions)
    from streammf.operations.sources import named  # noqa: PLC0415 - these load numpy and prometheus_client
    from streammf.operations.telemetry import ALL, telemetry_of  # noqa: PLC0415
    from streammf.state.generation import remove  # noqa: PLC0415
    from streammf.state.options import LiveOptions, StoreOptions, live_path  # noqa: PLC0415

    with hold(options.host, options.port) as held, telemetry_of(configuration, ALL) as asked_at:
        port = held.getsockname()[1]
        answering = f"{options.workers} query workers at {options.host}:{port}"
        say_starting(f"a trainer on the {named(configuration)}, then {answering}")
        flags |= serving_settings(options.host, port, None)
        arguments = ["train", "--parent", str(os.getpid()), *(["--config", file] if file else [])]
        trainer = Child(
            "trainer",
            own_command(*arguments),
            os.environ | as_environment(flags),
            may_finish=configuration.kind("source") == "file",
        )
        stages = [[trainer], worker_children(options.workers, file, flags)]
        supervisor = Supervisor(stages, lambda line: click.echo(line, err=True))
        where = f"{options.workers} workers answer at {options.host}:{port}"
        try:
            asyncio.run(supervisor.run(lambda words: say_ready(f"{where}; {words['trainer']}{asked_at}")))
        finally:
            remove(live_path(configuration.of(LiveOptions), Path(configuration.of(StoreOptions).path)))
