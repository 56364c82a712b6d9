"""docker-compose.yml without containers: its commands and settings as processes of this machine, and a real Prometheus.

Rules of this file:
1. What is run is what the file says; only what a container would have of its own (hosts, ports, folders, topic) is replaced.
2. Every process started here is ended here.
"""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.deploy import files
from tests.integration.processes import Running, running
from tests.programs import program
from tests.waiting import wait_for


class Stack(NamedTuple):
    """What runs, and where."""

    prometheus: str
    workers: str
    lines: Mapping[str, list[str]]
    """Service → what it said."""

    def ask(self, path: str, **parameters: str) -> Any:
        """Prometheus' answer to a question of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self.prometheus}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def numbers(self, expression: str) -> list[float]:
        """What an expression gives now; NaN, a quantile of nothing, left out."""
        values = [float(sample["value"][1]) for sample in self.ask("query", query=expression)["result"]]
        return [value for value in values if not isnan(value)]


def environment(service: str, folder: Path, kafka: str) -> dict[str, str]:
    """A service's settings, on this machine."""
    here = {
        "STREAMMF_SOURCE__BOOTSTRAP_SERVERS": kafka,
        "STREAMMF_SOURCE__TOPICS": folder.name,
        "STREAMMF_LIVE__PATH": str(folder / "live"),
        "STREAMMF_SERVING__HOST": "127.0.0.1",
        "STREAMMF_TELEMETRY__HOST": "127.0.0.1",
    }
    said = {name: str(value) for name, value in files.services()[service]["environment"].items()}
    assert set(here) < set(said)
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMMF_")}
    anywhere = {f"STREAMMF_{key}": "0" for key in ("SERVING__PORT", "TELEMETRY__PORT", "TELEMETRY__WORKERS_PORT")}
    return own | said | here | anywhere


def producer(service: str, hosts: Mapping[str, str]) -> list[str]:
    """The command line of a service that runs producer.py."""
    command = files.services()[service]["command"]
    return [sys.executable, str(files.DEPLOY / "producer.py"), *(hosts.get(word, word) for word in command)]


@contextmanager
def process(command: list[str], **more: Any) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(command, text=True, **more)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(10)


def listening(log: str) -> str:
    """Where Prometheus listens, once it says so; before that it says that it was told port 0."""
    return "".join(re.findall(r"address=(127\.0\.0\.1:[1-9]\d*)", log)[:1])


@contextmanager
def prometheus(binary: str, folder: Path, targets: list[str]) -> Iterator[str]:
    """One that runs deploy/prometheus.yml, faster, on these targets; gives its address."""
    configuration = files.read_yaml(files.PROMETHEUS)
    configuration["global"] = dict.fromkeys(configuration["global"], "1s")
    (scrape,) = configuration["scrape_configs"]
    (static,) = scrape["static_configs"]
    assert len(static["targets"]) == len(targets)
    static["targets"] = targets
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (folder / "alerts.yml").write_text(files.ALERTS.read_text())
    command = [binary, "--web.listen-address=127.0.0.1:0"]
    command += [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    log = folder / "prometheus.log"
    with log.open("w") as file, process(command, stdout=file, stderr=file):
        address = wait_for(lambda: listening(log.read_text()), "Prometheus to say where it listens")
        wait_for(lambda: urllib.request.urlopen(f"http://{address}/-/ready", timeout=2).status == 200, "Prometheus to be ready")
        yield address


@contextmanager
def stack(folder: Path, kafka: str) -> Iterator[Stack]:
    """Everything but Kafka and Grafana, in the order in which Compose starts it."""
    services = files.services()
    binary = program("prometheus", "Prometheus (Debian: prometheus)")

    def started(name: str) -> Running:
        (folder / name).mkdir()
        arguments = services[name]["command"]
        return undo.enter_context(running(*arguments, environment=environment(name, folder, kafka), cwd=folder / name))

    with ExitStack() as undo:
        made = subprocess.run(
            producer("topic", {}), env=environment("topic", folder, kafka), capture_output=True, text=True, check=False
        )
        assert (made.returncode, "is made" in made.stdout) == (0, True), made
        trainer, workers = started("trainer"), started("workers")
        targets = [found(r"http://([\d.:]+)/metrics", each) for each in (trainer, workers)]
        command = producer("producer", {"workers:7077": workers.ready().address})
        undo.enter_context(process(command, env=environment("producer", folder, kafka)))
        address = undo.enter_context(prometheus(binary, folder, targets))
        yield Stack(address, workers.address, {"trainer": trainer.lines, "workers": workers.lines})


def found(pattern: str, process_: Running) -> str:
    """In the `ready` line."""
    line = next(line for line in process_.ready().lines if line.startswith("ready"))
    match = re.search(pattern, line)
    assert match, line
    return match[1]
