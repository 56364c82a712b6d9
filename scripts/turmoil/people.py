"""Who uses it meanwhile: one who writes events, and some who ask.

Rules of this file:
1. Every event is written until Kafka has acknowledged it, once: the producer is idempotent and never gives up.
2. A query may be refused by name while nobody is up. Whatever else goes wrong is a failure, and kept with its words.
"""

import threading
import time
from collections import Counter
from typing import Final

import numpy as np
from confluent_kafka import Producer

from scripts.turmoil.house import TOPIC, House
from streammf.errors import NoModelError, RequestError
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.serving.client import Client

USERS: Final = 400
ITEMS: Final = 300
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
        while not self._ended.is_set():
            user, item = f"u{int(USERS * self._chance.random() ** 2)}", f"i{int(ITEMS * self._chance.random() ** 2)}"
            value = encode_json(Event(user=user, item=item, ts=int(time.time() * 1000)))
            producer.produce(TOPIC, value, user.encode(), on_delivery=self._delivered)
            producer.poll(PAUSE)
        producer.flush()

    def finish(self) -> int:
        """Stop; how many events there are."""
        self._ended.set()
        self.join()
        return self.written

    def _delivered(self, error: object, _: object) -> None:
        if error is None:
            self.written += 1
        else:
            self.lost.append(str(error))


class Asker(threading.Thread):
    """Asks for recommendations, again and again."""

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
                answer = client.recommend(f"u{self._chance.integers(USERS)}", k=5)
            except (NoModelError, RequestError) as error:
                if up and self._house.answering.is_set():
                    self._failed(f"{type(error).__name__}: {error}")
                else:
                    self.counts["refused by name while nobody was up"] += 1
            except Exception as error:  # noqa: BLE001 - what nobody foresaw is what is looked for
                self._failed(f"{type(error).__name__}: {error}")
            else:
                items = [one.item for one in answer]
                if len(set(items)) != len(items):
                    self._failed(f"an item twice: {items}")
                self.counts["answered"] += 1
        client.close()

    def finish(self) -> None:
        """Stop."""
        self._ended.set()
        self.join()

    def _failed(self, why: str) -> None:
        self.counts["failed"] += 1
        self.failures.append(why)
