"""`scripts/bench NAME [options]`: run one benchmark and print what it found."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks import cold, evaluating, freshness, growth, ingest, quality, query, recovery
from scripts.benchmarks.report import Report
from streammf.errors import ConfigurationError, StreamMFError


def parser() -> argparse.ArgumentParser:
    """All benchmarks and their options."""
    data = os.environ.get("STREAMMF_TEST_DATA")
    made = argparse.ArgumentParser(prog="scripts/bench", description="StreamMF beside what would be used instead.")
    names = made.add_subparsers(dest="name", required=True)
    modules = {"ingest": ingest, "freshness": freshness, "query": query, "growth": growth, "quality": quality}
    modules |= {"evaluate": evaluating, "recovery": recovery, "cold": cold}
    for name, module in modules.items():
        summary = (module.__doc__ or "").strip()
        one = names.add_parser(name, help=" ".join(summary.split("\n\n")[0].split()), description=summary)
        one.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    ingesting, fresh = names.choices["ingest"], names.choices["freshness"]
    ingesting.add_argument("--events", type=int, default=1_000_000, help="events in the topic (default: %(default)s)")
    ingesting.add_argument("--runs", type=int, default=3, help="times that everything is measured (default: %(default)s)")
    ingesting.add_argument(
        "--data", type=Path, default=data and Path(data), help="folder of MovieLens (default: STREAMMF_TEST_DATA)"
    )
    ranking = names.choices["quality"]
    ranking.add_argument(
        "--data", type=Path, default=data and Path(data), help="folder of the logs (default: STREAMMF_TEST_DATA)"
    )
    trying = names.choices["evaluate"]
    trying.add_argument("--runs", type=int, default=3, help="times that everything is measured (default: %(default)s)")
    trying.add_argument(
        "--data", type=Path, default=data and Path(data), help="folder of the logs (default: STREAMMF_TEST_DATA)"
    )
    starting = names.choices["cold"]
    starting.add_argument("--events", type=int, default=cold.EVENTS, help="of the made-up shop (default: %(default)s)")
    starting.add_argument(
        "--data", type=Path, default=data and Path(data), help="folder of MovieLens (default: STREAMMF_TEST_DATA)"
    )
    fresh.add_argument("--rate", type=int, default=20_000, help="events a second (default: %(default)s)")
    fresh.add_argument("--queries", type=int, default=100, help="queries a second (default: %(default)s)")
    fresh.add_argument("--seconds", type=float, default=60.0, help="length of each run (default: %(default)s)")
    fresh.add_argument("--runs", type=int, default=3, help="runs, each from an empty model (default: %(default)s)")
    asking, growing = names.choices["query"], names.choices["growth"]
    asking.add_argument("--runs", type=int, default=query.Size.runs, help="runs (default: %(default)s)")
    asking.add_argument(
        "--seconds", type=float, default=query.Size.seconds, help="length of a run with many clients (default: %(default)s)"
    )
    growing.add_argument("--most-users", type=float, default=1e7, help="users at the largest size (default: %(default).0e)")
    growing.add_argument("--most-items", type=float, default=1e6, help="items at the largest size (default: %(default).0e)")
    growing.add_argument("--commits", type=int, default=growth.COMMITS, help="of each load at each size (default: %(default)s)")
    growing.add_argument("--folder", type=Path, help="where the store is written for a while: 20 GiB for 10^7 users")
    dying = names.choices["recovery"]
    dying.add_argument("--most-users", type=float, default=1e7, help="users at the largest size (default: %(default).0e)")
    dying.add_argument("--rate", type=int, default=2_000, help="events a second (default: %(default)s)")
    dying.add_argument("--runs", type=int, default=3, help="pairs of deaths at each size (default: %(default)s)")
    dying.add_argument("--folder", type=Path, help="where stores are made, and stay: 10 GiB for 10^7 users (default: nowhere)")
    return made


def report(given: argparse.Namespace, command: str) -> Report:
    """Run what was asked for."""
    if given.name in {"quality", "evaluate"} and given.data is None:
        raise ConfigurationError("this is measured on real logs: say where they are with --data or STREAMMF_TEST_DATA")
    match given.name:
        case "ingest":
            found = ingest.run(command, given.events, given.runs, given.data)
        case "cold":
            found = cold.run(command, given.data, given.events)
        case "query":
            found = query.run(command, query.Size(runs=given.runs, seconds=given.seconds))
        case "growth":
            found = growth.run(command, int(given.most_users), int(given.most_items), given.folder, given.commits)
        case "recovery":
            found = recovery.run(command, int(given.most_users), given.rate, given.runs, given.folder)
        case "evaluate":
            found = evaluating.run(command, given.data, given.runs)
        case "quality":
            found = quality.run(command, given.data)
        case _:
            found = freshness.run(command, freshness.Load(given.rate, given.queries, given.seconds), given.runs)
    return found


def main(given: Sequence[str]) -> int:
    """The command. Exit code 0 whether or not a bar is met: a benchmark says what it finds."""
    arguments = parser().parse_args(given)
    try:
        report(arguments, shlex.join(["scripts/bench", *given])).show(as_json=arguments.json)
    except StreamMFError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
