"""A Kafka topic that dead letters are sent to.

Rules of this file:
1. Key, value and timestamp stay as they were; what is said of the record stands in headers.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from streammf.errors import ConfigurationError
from streammf.events.dead_letters import Numbered, headers
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import KafkaSink

#: ms after which the client gives a letter up; it is sent again. Its own five minutes would hold up a stop.
_GIVEN_UP: Final = {"message.timeout.ms": "10000"}


class DeadLetterTopic:
    """A topic of the cluster that the events come from."""

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        """Raises SourceError where the topic does not exist, ConfigurationError where events are read from it."""
        if topic in options.topics:
            raise ConfigurationError(f"dead_letters.topic = {topic!r} is a topic that events are read from: name another one")
        self._sink = KafkaSink(msgspec.structs.replace(options, properties=_GIVEN_UP | options.properties), topic)

    def send(self, records: Sequence[Numbered]) -> None:
        """Return once every replica in sync has them."""
        for _, record in records:
            told = [(name, value.encode()) for name, value in headers(record).items()]
            self._sink.append(record.key, record.value, max(record.timestamp, 0), told)
        self._sink.flush()

    def close(self) -> None:
        """Let go."""
        self._sink.close()
