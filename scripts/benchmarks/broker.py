"""A Kafka broker for a benchmark: one that the user names, or one of scripts/kafka that lives as long as the benchmark."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.benchmarks.data import Events
from scripts.benchmarks.report import say
from streammf.errors import SourceError
from streammf.events.kafka import KafkaOptions, KafkaSink, create_topic

SCRIPT: Final = Path(__file__).parent.parent / "kafka"
#: What names a broker that is up, as in the tests.
VARIABLE: Final = "STREAMMF_TEST_KAFKA"
PARTITIONS: Final = 4


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The address of a broker that is up while the block runs."""
    if given := os.environ.get(VARIABLE):
        yield given
        return
    command = [sys.executable, str(SCRIPT)]
    say("starting a Kafka broker ...")
    started = subprocess.run([*command, "start", "--folder", str(folder)], stdout=subprocess.PIPE, text=True, check=False)
    if started.returncode:
        raise SourceError(f"no Kafka broker: set {VARIABLE} to the address of one, or see above what scripts/kafka misses")
    try:
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([*command, "stop", "--folder", str(folder)], stdout=subprocess.DEVNULL, check=False)


def produce(address: str, topic: str, events: Events) -> None:
    """Write all events, keyed by user, into a new topic of four partitions."""
    options = KafkaOptions(bootstrap_servers=address, topics=[topic])
    create_topic(options, topic, PARTITIONS)
    sink = KafkaSink(options)
    for key, value, moment in events.values_of_records():
        sink.append(key, value, moment)
    sink.close()
