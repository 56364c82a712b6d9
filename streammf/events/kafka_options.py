"""How Kafka is reached, and which of librdkafka's properties are not for anybody to set.

Rules of this file:
1. Nothing of the Kafka client is imported here: processes that never talk to Kafka read the configuration too.
2. Every property passes through, save those that would break exactness; these are refused with the reason.
"""

from typing import Annotated, Final

import msgspec

from streammf.errors import ConfigurationError
from streammf.events.reading import ReadingOptions

_NO_GROUP: Final = "one trainer reads all partitions; there is no group to be a member of"
_POSITIONS: Final = "positions live in the store, in one transaction with what was learned"
_DELIVERY: Final = "records must be written once, in order, and every one reported"

#: Property → why it is refused.
REFUSED: Final = {
    "bootstrap.servers": "it has a setting of its own, bootstrap_servers",
    "metadata.broker.list": "it has a setting of its own, bootstrap_servers",
    "group.id": "it has a setting of its own, group_id",
    "enable.auto.commit": _POSITIONS,
    "auto.commit.enable": _POSITIONS,
    "enable.auto.offset.store": _POSITIONS,
    "auto.offset.reset": "a position outside the log is data loss: it is reported, never skipped or started over",
    "isolation.level": "records of aborted transactions are never learned from",
    "enable.partition.eof": "the end of a partition is read off the positions",
    "group.protocol": _NO_GROUP,
    "group.remote.assignor": _NO_GROUP,
    "group.instance.id": _NO_GROUP,
    "partition.assignment.strategy": _NO_GROUP,
    "enable.idempotence": _DELIVERY,
    "acks": _DELIVERY,
    "request.required.acks": _DELIVERY,
    "transactional.id": _DELIVERY,
    "delivery.report.only.error": _DELIVERY,
}


class KafkaOptions(ReadingOptions, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the topics are and how they are reached."""

    bootstrap_servers: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1:9092"
    """host:port of one broker or more, with commas; the others are found from there."""
    topics: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["events"])
    """The topics to read, all partitions of each; the one to write where there is one."""
    group_id: Annotated[str, msgspec.Meta(min_length=1)] = "streammf"
    """The group under which positions are shown to Kafka's own lag tools. They are never read back."""
    properties: dict[str, str] = msgspec.field(default_factory=dict)
    """Any other librdkafka property by its own name, e.g. `security.protocol` or `sasl.password`."""
    connect_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    """s: how long opening, and any question to the cluster while opening, may take."""

    def __post_init__(self) -> None:
        for name in self.properties:
            if name in REFUSED:
                raise ConfigurationError(f"the Kafka property {name} cannot be set: {REFUSED[name]}")
        if len(set(self.topics)) < len(self.topics):
            raise ConfigurationError(f"a topic is named twice: {', '.join(self.topics)}")
