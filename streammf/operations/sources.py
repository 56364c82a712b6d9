"""The log of events that the configuration names, opened to read or to write.

Rules of this file:
1. The way from a kind of log to its classes stands here once; who reads or writes events knows only Source and Sink.
2. Kafka's client is imported only where Kafka is chosen: it takes longer than everything else of a command.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from streammf.errors import ConfigurationError
from streammf.events.dead_letters import DeadLetterFile, Outlet
from streammf.events.files import FileSource
from streammf.events.kafka_options import KafkaOptions
from streammf.events.log import LogOptions, LogSink, LogSource
from streammf.events.reading import ReadingOptions
from streammf.events.source import Sink, Source
from streammf.operations.configuration import Configuration
from streammf.state.options import StoreOptions
from streammf.trainer.options import DeadLetterOptions


class FileOptions(ReadingOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of events, read to its end."""

    path: Annotated[str, msgspec.Meta(min_length=1)] = "events.csv"
    """CSV with a header or JSONL; .gz or .zst too."""


def open_source(configuration: Configuration) -> Source:
    """The log to learn from. An embedded log that is not there yet is begun, empty. Raises SourceError."""
    match configuration.kind("source"):
        case "kafka":
            from streammf.events.kafka import KafkaSource  # noqa: PLC0415 - loads librdkafka

            return KafkaSource(configuration.of(KafkaOptions))
        case "file":
            return FileSource(Path(configuration.of(FileOptions).path))
        case _:
            folder = Path(configuration.of(LogOptions).path)
            LogSink(folder, create=True).close()
            return LogSource(folder)


def open_sink(configuration: Configuration) -> Sink:
    """The same log, to write events to. Raises SourceError; ConfigurationError where it is a file."""
    match configuration.kind("source"):
        case "kafka":
            from streammf.events.kafka_sink import KafkaSink  # noqa: PLC0415 - loads librdkafka

            return KafkaSink(configuration.of(KafkaOptions))
        case "file":
            raise ConfigurationError('source.kind = "file" is read only: events are written to a log or to Kafka')
        case _:
            options = configuration.of(LogOptions)
            return LogSink(Path(options.path), create=True, segment_bytes=options.segment_mib << 20)


def accepts_loss(configuration: Configuration) -> bool:
    """Whether the log may have lost events: source.on_data_loss."""
    kinds: dict[str, type[ReadingOptions]] = {"kafka": KafkaOptions, "file": FileOptions, "log": LogOptions}
    return configuration.of(kinds[configuration.kind("source")]).on_data_loss == "accept"


def open_topic(configuration: Configuration, topic: str) -> tuple[Sink, Callable[[int, int], None]]:
    """One topic of the same log, to write to; and what raises SourceError where records stamped from .. to (ms) would not stay.

    Raises ConfigurationError where the log has no such topic, and what `open_sink` raises.
    """
    there = _topics(configuration)
    if topic not in there:
        raise ConfigurationError(f"the configured log has no topic {topic}, only {', '.join(there)}: set [source] to that log")
    if configuration.kind("source") == "kafka":
        from streammf.events.kafka_sink import KafkaSink  # noqa: PLC0415 - loads librdkafka

        sink = KafkaSink(configuration.of(KafkaOptions), topic)
        return sink, sink.check_retention
    return open_sink(configuration), lambda _oldest, _newest: None


def open_dead_letters(configuration: Configuration) -> Outlet | None:
    """Where dead letters go; None: nowhere. Raises SourceError where that cannot be written, ConfigurationError where it makes
    no sense.
    """
    options = configuration.of(DeadLetterOptions)
    if not (options.topic or options.path):
        return None
    if configuration.of(StoreOptions).quarantined == 0:
        raise ConfigurationError("dead letters are sent from the quarantine: set store.quarantined above 0")
    if options.path:
        return DeadLetterFile(Path(options.path))
    if configuration.kind("source") != "kafka":
        raise ConfigurationError('dead_letters.topic wants source.kind = "kafka": use dead_letters.path')
    from streammf.events.kafka_dead_letters import DeadLetterTopic  # noqa: PLC0415 - loads librdkafka

    return DeadLetterTopic(configuration.of(KafkaOptions), options.topic)


def _topics(configuration: Configuration) -> list[str]:
    """The names of the log's topics; a file is known by its content, and is not written to anyway."""
    if configuration.kind("source") == "kafka":
        return configuration.of(KafkaOptions).topics
    open_sink(configuration).close()  # a file cannot be written to
    return [Path(configuration.of(LogOptions).path).resolve().name]


def named(configuration: Configuration) -> str:
    """The log in words, for people."""
    match configuration.kind("source"):
        case "kafka":
            options = configuration.of(KafkaOptions)
            return f"Kafka topic {', '.join(options.topics)} at {options.bootstrap_servers}"
        case "file":
            return f"file {configuration.of(FileOptions).path}"
        case _:
            return f"embedded log {configuration.of(LogOptions).path}"
