"""Whether the log still holds a position, asked of the logs themselves."""

from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from streammf.errors import SourceError
from streammf.events.kafka import KafkaSource
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import KafkaSink, create_topic
from streammf.events.log import LogSink, LogSource
from streammf.operations.configuration import Configuration, load
from streammf.operations.replayable import log_of
from streammf.state.meta import NO_LOG, Position


def test_an_embedded_log_is_asked_and_not_begun(tmp_path: Path) -> None:
    configuration = load(None, {"STREAMMF_SOURCE__PATH": str(tmp_path / "log")}, folder=tmp_path)
    with pytest.raises(SourceError), log_of(configuration):
        pass
    assert not (tmp_path / "log").exists()
    with closing(LogSink(tmp_path / "log", create=True)) as sink:
        sink.append(b"", b"{}", 0)
    with closing(LogSource(tmp_path / "log")) as source:
        identity = source.topic_ids()["log"]
    with log_of(configuration) as lost:
        assert lost([Position("log", 0, 1, identity)]) == ""
        assert "1 events are lost" in lost([Position("log", 0, 2, identity)])
        assert "was made anew under the same name" in lost([Position("log", 0, 1, "another")])
        assert "which the source does not have" in lost([Position("other", 0, 1, identity)])
        assert lost([Position("recommender", 0, 700, NO_LOG)]) == ""
        assert lost([Position("log", 0, 1, identity)]) == "", "one answer does not change the next"


@pytest.mark.kafka
def test_kafka_is_asked_partition_by_partition(kafka: str, tmp_path: Path) -> None:
    topic = f"replayable-{uuid4().hex[:8]}"
    options = KafkaOptions(bootstrap_servers=kafka, topics=[topic])
    create_topic(options, topic, 2)
    with closing(KafkaSink(options)) as sink:
        for n in range(20):
            sink.append(str(n).encode(), b"{}", 1_700_000_000_000)
    with closing(KafkaSource(options)) as source:
        identity, ends = source.topic_ids()[topic], source.ends()
    settings = {"KIND": "kafka", "BOOTSTRAP_SERVERS": kafka, "TOPICS": f'["{topic}"]'}
    configuration: Configuration = load(
        None, {f"STREAMMF_SOURCE__{key}": value for key, value in settings.items()}, folder=tmp_path
    )
    held = [Position(topic, partition.number, end, identity) for partition, end in ends.items()]
    with log_of(configuration) as lost:
        assert lost(held) == ""
        assert lost([held[0]._replace(next=held[0].next + 3), held[1]]) != ""
        assert "was made anew" in lost([position._replace(topic_id="another") for position in held])
        assert lost(held) == ""
