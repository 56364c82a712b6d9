"""`streammf serve`: the query workers.

Rules of this file:
1. One worker is this process; several are children of it, each a `streammf serve --workers 1`.
"""

import asyncio
import os
from pathlib import Path

import click

from streammf.cli.flags import (
    Flags,
    as_environment,
    config_flag,
    host_flag,
    number_flag,
    parent_flag,
    port_flag,
    serving_settings,
    settings,
    workers_flag,
)
from streammf.operations.configuration import Configuration, load
from streammf.operations.port import hold
from streammf.operations.process import begin, say_compiling, say_ready, say_starting
from streammf.operations.supervisor import Child, Supervisor, own_command
from streammf.serving.options import ServingOptions

EXAMPLES = """\b
Examples:
  streammf serve
  streammf serve --workers 4 --port 7100"""


@click.command(epilog=EXAMPLES)
@workers_flag
@host_flag
@port_flag
@click.option("--live", help="Folder of the live memory: live.path. Default: that of the configured store.")
@config_flag
@parent_flag
@number_flag
def command(
    workers: int | None,
    host: str | None,
    port: int | None,
    live: str | None,
    file: str | None,
    parent: int | None,
    number: int,
) -> None:
    """Answer queries from the live memory, until SIGTERM or Ctrl-C. It may start before the trainer."""
    begin(parent)
    flags = serving_settings(host, port, workers) | settings("live", {"path": ("--live", live)})
    configuration = load(file, flags=flags)
    options = configuration.of(ServingOptions)
    if options.workers == 1:
        if parent is None:
            say_starting(f"a query worker at {options.host}:{options.port}")
        return _serve(configuration, options, number)
    from streammf.operations.telemetry import WORKERS, telemetry_of  # noqa: PLC0415 - loads numpy and prometheus_client

    with hold(options.host, options.port) as held, telemetry_of(configuration, WORKERS) as asked_at:
        flags |= serving_settings(options.host, held.getsockname()[1], None)
        children = worker_children(options.workers, file, flags)
        where = f"{options.host}:{held.getsockname()[1]}"
        say_starting(f"{options.workers} query workers at {where}")
        supervisor = Supervisor([children], lambda line: click.echo(line, err=True))
        asyncio.run(supervisor.run(lambda words: say_ready(f"{where}, {options.workers} workers{asked_at}")))
    return None


def worker_children(count: int, file: str | None, flags: Flags) -> list[Child]:
    """The commands of `count` workers that share an address."""
    arguments = ["serve", "--workers", "1", "--parent", str(os.getpid()), *(["--config", file] if file else [])]
    environment = os.environ | as_environment(flags)
    return [Child(f"worker {n}", own_command(*arguments, "--number", str(n)), environment) for n in range(1, count + 1)]


def _serve(configuration: Configuration, options: ServingOptions, number: int) -> None:
    from streammf.learning import compiling  # noqa: PLC0415 - these load numba and the kernels
    from streammf.learning.options import LearningOptions  # noqa: PLC0415
    from streammf.operations.telemetry import WORKERS, telemetry_of  # noqa: PLC0415
    from streammf.serving.worker import counting_slot, run_worker  # noqa: PLC0415
    from streammf.state.options import LiveOptions, StoreOptions, live_path  # noqa: PLC0415

    base = live_path(configuration.of(LiveOptions), Path(configuration.of(StoreOptions).path))
    slot = counting_slot(base, number)
    with telemetry_of(configuration, WORKERS, slot) as asked_at:
        compiling.ready(configuration.of(LearningOptions).part, report=say_compiling)
        run_worker(base, options, lambda host, port: say_ready(f"{host}:{port}, live memory {base}{asked_at}"), slot)
