#!/usr/bin/env python3
"""The demo's shop: people of a made-up world click films, and the shop asks what to recommend to them.

    python deploy/producer.py --create 4                   make the topic, unless it is there, and end
    python deploy/producer.py --rate 100                   write so many clicks a second, until stopped
    python deploy/producer.py --ask 127.0.0.1:7077         and ask for the list of every tenth person who clicked

The log is the configured one, as `streammf track` would write to it. Rules of this file:
1. A click is dated when it happens, so the metrics of freshness and lag show what a real producer would see.
2. Without an answer the shop goes on selling; without a log it ends, and says why.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from typing import NoReturn

from streammf import Client
from streammf.errors import StreamMFError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import create_topic
from streammf.operations.configuration import load
from streammf.operations.sources import named, open_sink
from streammf.operations.world import Click, World

#: Clicks between two looks at what became durable, and between two questions.
EVERY = 10
#: Seconds that the shop waits for an answer.
PATIENCE = 1.0


def clicks(rate: float) -> Iterator[Click]:
    """Clicks without end, each when it is due: `rate` a second on average."""
    world = World()
    while True:
        for click in world.clicks(10_000, int(time.time() * 1000), 1000 / rate):
            time.sleep(max(click.time / 1000 - time.time(), 0.0))
            yield click


def sell(rate: float, ask: str | None) -> NoReturn:
    """Write clicks until SIGTERM or Ctrl-C."""
    with closing(open_sink(load())) as sink, closing(Client(ask or "127.0.0.1", timeout=PATIENCE)) as client:
        for number, click in zip(count(1), clicks(rate), strict=False):
            event = Event(user=click.user, item=click.item, ts=click.time)
            sink.append(click.user.encode(), encode_json(event), click.time)
            if number % EVERY == 0:
                sink.flush()
                with suppress(StreamMFError):
                    if ask:
                        client.recommend(click.user, k=10)
    raise AssertionError("clicks have no end")


def main() -> None:
    """What the arguments say."""
    parser = argparse.ArgumentParser(description="The demo's shop: writes made-up clicks, and asks for recommendations.")
    parser.add_argument("--create", type=int, metavar="PARTITIONS", help="make the Kafka topic, unless it is there, and end")
    parser.add_argument("--rate", type=float, default=100.0, help="clicks a second (%(default)s)")
    parser.add_argument("--ask", metavar="HOST:PORT", help="ask there for recommendations, one for ten clicks")
    arguments = parser.parse_args()
    try:
        if arguments.create:
            options = load().of(KafkaOptions)
            made = create_topic(options, options.topics[0], arguments.create)
            sys.stdout.write(f"the {named(load())} {'is made' if made else 'was there'}\n")
        else:
            sell(arguments.rate, arguments.ask)
    except StreamMFError as error:
        sys.exit(f"producer: {error}")
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
