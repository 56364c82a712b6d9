"""The least that any reader of these events does: consume(), value(), a typed decode. Nothing is kept, learned or written."""

import time
from typing import Final

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from scripts.benchmarks.broker import PARTITIONS
from streammf.events.event import Event

#: Messages asked for at once: as many as makes the loop quickest.
AT_ONCE: Final = 10_000


def consume(address: str, topic: str, count: int) -> float:
    """Seconds from the assignment of the partitions to the last of `count` events."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "bare",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            # the client's own default pauses a quick reader for 1 s
            "fetch.queue.backoff.ms": 10,
        }
    )
    decode = msgspec.json.Decoder(Event).decode
    consumer.list_topics(topic)
    left = count
    began = time.perf_counter()
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    while left > 0:
        for value in map(Message.value, consumer.consume(min(AT_ONCE, left), 1.0)):
            decode(value or b"")  # nothing here is a null value
            left -= 1
    seconds = time.perf_counter() - began
    consumer.close()
    return seconds
