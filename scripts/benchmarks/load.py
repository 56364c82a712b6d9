"""A steady stream into a topic: `python -m scripts.benchmarks.load '<plan as JSON>'` writes it until its end.

Rules of this file:
1. Events are due by the clock: what could not be written in time is written late, never left out.
2. An event's time is the moment at which it was due.
"""

import sys
import time
from typing import Final

import msgspec
from confluent_kafka import Producer

from scripts.benchmarks.data import zipf_events
from streammf.events.codec import encode_json
from streammf.events.event import Event

#: Seconds between two writes: a rate of 20,000 is 100 events each.
SLICE: Final = 0.005
#: As clients are by themselves: a message waits 5 ms for company. With 1 ms the broker takes twice the share of a core.
PRODUCER: Final = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}


class Plan(msgspec.Struct, kw_only=True, frozen=True):
    """What is to be written."""

    address: str
    topic: str
    rate: int
    """Events a second."""
    seconds: float


def write(plan: Plan) -> float:
    """Write it; how far behind the clock it was at worst, s."""
    events = zipf_events(int(plan.rate * plan.seconds))
    producer = Producer({"bootstrap.servers": plan.address, **PRODUCER})
    began, written, late = time.time(), 0, 0.0
    while written < len(events):
        due = min(int((time.time() - began) * plan.rate), len(events))
        for n in range(written, due):
            moment = began + n / plan.rate
            event = Event(events.users[n], events.items[n], "click", 1.0, int(moment * 1000))
            producer.produce(plan.topic, encode_json(event), events.users[n].encode())
        producer.poll(0)
        late = max(late, time.time() - began - written / plan.rate)
        written = due
        time.sleep(SLICE)
    producer.flush()
    return late


if __name__ == "__main__":
    print(write(msgspec.json.decode(sys.argv[1], type=Plan)))  # noqa: T201 - the parent reads it
