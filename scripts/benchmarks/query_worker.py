"""A query worker in a process of its own: `python -m scripts.benchmarks.query_worker FOLDER` prints its address."""

import sys
from pathlib import Path

from streammf.serving.options import ServingOptions
from streammf.serving.worker import run_worker


def main() -> None:
    """Serve the live model at the folder that the command line names, on a free port of loopback, until told to stop."""
    run_worker(Path(sys.argv[1]), ServingOptions(port=0), lambda host, port: print(f"{host}:{port}", flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
