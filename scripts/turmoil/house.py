"""What is to be broken: a real Kafka broker, and `streammf up` with a trainer and two workers, as processes.

Rules of this file:
1. Only processes that were started here are signalled, by their ids.
2. `answering` is true from when `up` is ready until somebody here takes it down: only then may a query find nobody.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from scripts.turmoil.disk import Disk
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import create_topic
from streammf.failpoints import VARIABLE as FAILPOINTS

KAFKA: Final = Path(__file__).parents[1] / "kafka"
TOPIC: Final = "chaos"
PARTITIONS: Final = 4
WORKERS: Final = 2
#: What `up` tells of a child that a signal ended.
DEATH: Final = re.compile(r"was killed by (SIG\w+)")
#: As /proc/net/tcp says that a socket listens.
LISTENS: Final = "0A"
#: Seconds that a start may take; the first compiles kernels, and starts Maven.
LONGEST_START: Final = 300.0


class House:
    """Broker and `up` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answering = threading.Event()
        self.crashes: list[str] = []
        """What `up` told of children that ended by a signal which nobody sent."""
        self._up: subprocess.Popen[str] | None = None
        self._broker("start")
        self._disk = Disk(folder / "disk")
        self.bootstrap = f"127.0.0.1:{self._kept()['plain']}"
        create_topic(KafkaOptions(bootstrap_servers=self.bootstrap, topics=[TOPIC]), TOPIC, PARTITIONS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        own = {
            "source__kind": "kafka",
            "source__bootstrap_servers": self.bootstrap,
            "source__topics": TOPIC,
            "store__path": str(self.store),
            "store__snapshots": str(folder / "snapshots"),
            "live__path": str(folder / "live"),
            "learning__factors": "16",
            "trainer__commit_seconds": "0.3",
            "serving__port": str(self._port),
            "serving__workers": str(WORKERS),
            "telemetry__port": "0",
            "telemetry__workers_port": "0",
        }
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("STREAMMF_")}
        self.environment = surroundings | {f"STREAMMF_{name}".upper(): value for name, value in own.items()}

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "disk" / "store"

    @property
    def small_disk(self) -> bool:
        """Whether the store stands on a small file system of its own."""
        return self._disk.small

    def snapshots(self) -> list[str]:
        """Their folders, oldest first."""
        return sorted(str(path.parent) for path in (self.folder / "snapshots").glob("[!.]*/manifest.json"))

    def disk_full(self) -> AbstractContextManager[None]:
        """The store cannot grow while the block runs."""
        return self._disk.full(lambda: self.children("train"))

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One command of StreamMF, which nobody listens to."""
        return subprocess.Popen(
            [sys.executable, "-m", "streammf", *arguments],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of StreamMF, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "streammf", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )

    def start(self, failpoints: str = "") -> None:
        """Start `up`, and wait until it answers. With failpoints it may end instead."""
        environment = self.environment | ({FAILPOINTS: failpoints} if failpoints else {})
        self._up = subprocess.Popen(
            [sys.executable, "-m", "streammf", "up"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert self._up.stdout is not None
        assert self._up.stderr is not None
        threading.Thread(target=self._listen, args=(self._up.stderr,), daemon=True).start()
        if not any(line.startswith("ready") for line in self._up.stdout):
            if not failpoints:
                raise AssertionError(f"`streammf up` ended with exit code {self._up.wait()} before it was ready")
            return
        threading.Thread(target=self._up.stdout.read, daemon=True).start()  # so that its pipe never fills
        self.answering.set()

    def _listen(self, told: Iterable[str]) -> None:
        """Pass on what `up` tells. A child that a signal ended which nobody sends here has crashed."""
        for line in told:
            sys.stderr.write(line)
            if (found := DEATH.search(line)) and found[1] != "SIGKILL":
                self.crashes.append(line.strip())

    @property
    def gone(self) -> bool:
        """Whether `up` has ended by itself."""
        return self._up is not None and self._up.poll() is not None

    def stop(self) -> int:
        """A clean end of `up`; its exit code."""
        self.answering.clear()
        assert self._up is not None
        self._up.send_signal(signal.SIGTERM)
        return self._up.wait(120)

    def kill(self) -> None:
        """An end of `up` without warning: its children end with it."""
        self.answering.clear()
        assert self._up is not None
        children = self.children()
        self._up.kill()
        self._up.wait()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def children(self, command: str = "") -> list[int]:
        """Ids of the trainer (`train`) and the workers (`serve`), of all without a name."""
        assert self._up is not None
        try:
            pids = Path(f"/proc/{self._up.pid}/task/{self._up.pid}/children").read_text().split()
            found = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in pids}
        except OSError:  # one ended between the two looks
            return []
        return [pid for pid, words in found.items() if not command or command.encode() in words]

    def until_the_trainer_dies(self, seconds: float) -> None:
        """Wait so long at most."""
        living, deadline = self.children("train"), time.monotonic() + seconds
        while not self.gone and self.children("train") == living and time.monotonic() < deadline:
            time.sleep(0.02)

    def until_both_listen(self) -> None:
        """Wait until every worker takes connections, one that was killed lately too."""
        deadline = time.monotonic() + LONGEST_START
        mark = f":{self._port:04X}"
        while time.monotonic() < deadline and not self.gone:
            lines = Path("/proc/net/tcp").read_text().splitlines()
            if sum(words[1].endswith(mark) and words[3] == LISTENS for words in map(str.split, lines)) >= WORKERS:
                return
            time.sleep(0.05)

    def signal_broker(self, number: signal.Signals) -> int:
        """Its process's id."""
        pid = self._kept()["pid"]
        if KAFKA.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, number)
        return pid

    def kill_broker(self) -> None:
        """Its end without warning."""
        pid = self.signal_broker(signal.SIGKILL)
        while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.02)

    def stop_broker(self) -> None:
        """Its clean end."""
        self._broker("stop")

    def start_broker(self) -> None:
        """On the same port, with what it had."""
        self._broker("start")

    def close(self) -> None:
        """Nothing that was started here is left."""
        if self._up is not None and self._up.poll() is None:
            self.kill()
        self._broker("stop")
        self._disk.close()

    def _broker(self, command: str) -> None:
        done = subprocess.run(
            [sys.executable, str(KAFKA), command, "--folder", str(self.folder / "kafka")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode and command == "start":
            raise SystemExit(f"scripts/chaos: no Kafka broker: {done.stderr.strip()}")

    def _kept(self) -> dict[str, int]:
        return dict(json.loads((self.folder / "kafka" / "broker.json").read_text()))
