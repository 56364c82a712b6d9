"""Probes of freshness: someone who has a list clicks its first item; how long until a worker's answer knows of the click?

Rules of this file:
1. A probe is two queries: the list, and, once Kafka has acknowledged the click, the list that includes the click's offset
   (`at_least`). An answer reflects the click if its position is past it and the clicked item is no longer in the list.
2. Time runs from before the click is handed to the producer until the answer is read. So it includes the producer, the
   broker's acknowledgement, the trainer and the worker.
3. Probes begin by the clock: a slow one delays no other, and its own delay is not hidden.
4. Each probe asks one worker; the workers take turns.
"""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from scripts.benchmarks.data import USER_SKEW, USERS, drawn
from scripts.benchmarks.load import PRODUCER
from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.serving.async_client import AsyncClient

#: s that a worker may wait for the click: a probe that takes longer counts as this long, and as a failure.
LONGEST: Final = 10.0
#: Connections made while looking for one to each worker: the kernel deals them out.
ATTEMPTS: Final = 100

Click = tuple[str, int, int]
"""Topic, partition, next offset."""


@dataclass
class Probed:
    """What the probes found."""

    fresh: list[float] = field(default_factory=list)
    """Seconds from click to an answer that reflects it."""
    acknowledged: list[float] = field(default_factory=list)
    """Seconds from click to Kafka's acknowledgement: the part before which nobody can ask."""
    answered: list[float] = field(default_factory=list)
    """Seconds that the first query took."""
    wrong: list[str] = field(default_factory=list)
    """Answers that did not reflect the click although they said so, and probes that failed."""


class Clicks:
    """Writes clicks, and says when and where each one stands in the log."""

    def __init__(self, address: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": address, **PRODUCER, "linger.ms": 0})
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._listener.join()

    def write(self, user: str, item: str) -> "asyncio.Future[Click]":
        """Write one click; what its position will be."""
        placed: asyncio.Future[Click] = self._loop.create_future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._loop.call_soon_threadsafe(placed.set_exception, ConnectionError(error.str()))
                return
            at = (message.topic() or "", message.partition() or 0, (message.offset() or 0) + 1)
            self._loop.call_soon_threadsafe(placed.set_result, at)

        value = encode_json(Event(user, item, "click", 1.0, int(time.time() * 1000)))
        self._producer.produce(self._topic, value, user.encode(), on_delivery=delivered)
        return placed

    def _listen(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(0.1)


async def client_of_each(address: str, workers: int) -> list[AsyncClient]:
    """A client connected to each worker."""
    found: dict[int, AsyncClient] = {}
    for _ in range(ATTEMPTS):
        client = AsyncClient(address, timeout=LONGEST)
        pid = (await client.info()).pid
        if pid in found:
            await client.close()
        found.setdefault(pid, client)
        if len(found) == workers:
            return list(found.values())
    raise AssertionError(f"{ATTEMPTS} connections reached {len(found)} of {workers} workers")


async def probe(client: AsyncClient, clicks: Clicks, user: str, probed: Probed) -> None:
    """One probe."""
    began = time.perf_counter()
    before = await client.recommend(user)
    probed.answered.append(time.perf_counter() - began)
    if not before.items:
        probed.wrong.append("an empty list")
        return
    item = before.items[0].item
    began = time.perf_counter()
    place = await clicks.write(user, item)
    probed.acknowledged.append(time.perf_counter() - began)
    after = await client.recommend(user, at_least=[place], wait=LONGEST)
    probed.fresh.append(time.perf_counter() - began)
    positions = {(topic, partition): offset for topic, partition, offset in after.position}
    if positions.get(place[:2], 0) < place[2]:
        probed.wrong.append(f"position {after.position} does not include {place}")
    elif item in {one.item for one in after.items}:
        probed.wrong.append(f"{item} is still recommended to {user}")


async def run_probes(address: str, workers: int, clicks: Clicks, queries: int, seconds: float) -> Probed:
    """Probes that make `queries` queries a second, for `seconds`."""
    probed = Probed()
    clients = await client_of_each(address, workers)
    # Each by another person, as active as chance wills: two probes of one person would see each other's clicks.
    people = dict.fromkeys(drawn(np.random.default_rng(2), USERS, USER_SKEW, int(queries * seconds)).tolist())
    step, began = 2 / queries, time.perf_counter()
    tasks = []
    for n, person in zip(range(int(seconds / step)), people, strict=False):
        await asyncio.sleep(max(began + n * step - time.perf_counter(), 0.0))
        one = probe(clients[n % workers], clicks, f"user-{person:06d}", probed)
        tasks.append(asyncio.create_task(one))
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException):
            probed.wrong.append(f"{type(ended).__name__}: {ended}")
            probed.fresh.append(LONGEST)
    for client in clients:
        await client.close()
    return probed
