"""Who uses it meanwhile: one who writes events, and some who ask.

Rules of this file:
1. Every record is written until Kafka has acknowledged it, once: the producer is idempotent and never gives up.
2. What is written follows from the seed: events, and now and then what is none. How much of it, time decides.
3. A query may be refused by name while nobody is up. Whatever else goes wrong is a failure, and kept with its words.
"""

import threading
from collections import Counter
from typing import Final

import numpy as np
from confluent_kafka import Producer

from scripts.turmoil.house import TOPIC, House
from streammf.errors import NoModelError, RequestError
from streammf.events.codec import encode_json, encode_msgpack
from streammf.events.event import Event
from streammf.serving.client import Client

USERS: Final = 400
ITEMS: Final = 300
#: ms since the epoch, and between two events.
BEGIN: Final = 1_700_000_000_000
STEP: Final = 1000
#: One record in so many is no event.
BAD_EVERY: Final = 50
BAD: Final = (
    b"",
    b"nonsense",
    b'{"user":"u1"}',
    b'{"user":"","item":"i1"}',
    b'{"user":"u1","item":"i1","value":"x"}',
    b"\x81\xff",
)
#: Seconds between two events of the writer, and between two queries of one who asks.
PAUSE: Final = 0.002
ASK_PAUSE: Final = 0.02


class Writer(threading.Thread):
    """Writes clicks until told to stop, then waits until all are acknowledged."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(name="writer", daemon=True)
        self.written = 0
        """Acknowledged by Kafka."""
        self.lost: list[str] = []
        self._house = house
        self._chance = np.random.default_rng(seed)
        self._ended = threading.Event()

    def run(self) -> None:
        """The thread's own work."""
        producer = Producer(
            {
                "bootstrap.servers": self._house.bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": 0,  # never give up: what is not acknowledged is written again
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,  # the broker goes away on purpose
            }
        )
        number = 0
        while not self._ended.is_set():
            user, value = self._record(number)
            try:
                producer.produce(TOPIC, value, user.encode(), on_delivery=self._delivered)
            except BufferError:  # the broker has been away for long: this record comes when there is room
                producer.poll(1.0)
                continue
            number += 1
            producer.poll(PAUSE)
        producer.flush()

    def finish(self) -> int:
        """Stop; how many records there are."""
        self._ended.set()
        self.join()
        return self.written

    def _record(self, number: int) -> tuple[str, bytes]:
        """Key and value of the next one."""
        user, item = f"u{int(USERS * self._chance.random() ** 2)}", f"i{int(ITEMS * self._chance.random() ** 2)}"
        if number % BAD_EVERY == BAD_EVERY - 1:
            return user, BAD[number // BAD_EVERY % len(BAD)]
        encode = encode_msgpack if number % 3 == 0 else encode_json
        return user, encode(Event(user=user, item=item, ts=BEGIN + STEP * number))

    def _delivered(self, error: object, _: object) -> None:
        if error is None:
            self.written += 1
        else:
            self.lost.append(str(error))


class Asker(threading.Thread):
    """Asks, again and again: mostly what to recommend."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(name="asker", daemon=True)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._house = house
        self._chance = np.random.default_rng(seed)
        self._ended = threading.Event()

    def run(self) -> None:
        """The thread's own work."""
        client = Client(self._house.address, timeout=10.0)
        while not self._ended.wait(ASK_PAUSE):
            up = self._house.answering.is_set()
            try:
                items = self._asked(client)
            except (NoModelError, RequestError) as error:
                if up and self._house.answering.is_set():
                    self._failed(f"{type(error).__name__}: {error}")
                else:
                    self.counts["refused by name while nobody was up"] += 1
            except Exception as error:  # noqa: BLE001 - what nobody foresaw is what is looked for
                self._failed(f"{type(error).__name__}: {error}")
            else:
                if len(set(items)) != len(items):
                    self._failed(f"an item twice: {items}")
                self.counts["answered"] += 1
        client.close()

    def finish(self) -> None:
        """Stop."""
        self._ended.set()
        self.join()

    def _asked(self, client: Client) -> list[str]:
        """The items of one answer."""
        user, which = f"u{self._chance.integers(USERS)}", int(self._chance.integers(8))
        if which == 0:
            return [one.item for one in client.popular(k=5)]
        if which == 1:
            return [one.item for one in client.similar_items(f"i{self._chance.integers(ITEMS)}", k=5)]
        if which == 2:
            client.predict(user, f"i{self._chance.integers(ITEMS)}")
            return []
        return [one.item for one in client.recommend(user, k=5)]

    def _failed(self, why: str) -> None:
        self.counts["failed"] += 1
        self.failures.append(why)
