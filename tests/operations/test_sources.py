"""From the configuration to a log."""

from contextlib import closing
from pathlib import Path

import pytest

from streammf.errors import ConfigurationError, SourceError
from streammf.events.files import FileSource
from streammf.events.log import LogSource
from streammf.operations.configuration import Configuration, Setting
from streammf.operations.sources import named, open_sink, open_source


def configured(**values: object) -> Configuration:
    return Configuration({"source": {key: Setting(value, "test") for key, value in values.items()}})


def test_an_embedded_log_is_begun_by_whoever_opens_it_first(tmp_path: Path) -> None:
    configuration = configured(kind="log", path=str(tmp_path / "a" / "log"))
    with closing(open_source(configuration)) as source:
        assert isinstance(source, LogSource)
        assert source.poll(1, 0) is None
        with closing(open_sink(configuration)) as sink:
            sink.append(b"ann", b"{}", 1)
        records = source.poll(10, 5)
        assert records is not None
        assert records.values == [b"{}"]
    assert named(configuration) == f"embedded log {tmp_path / 'a' / 'log'}"


def test_a_file_is_read_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user,item,value,timestamp\na,b,1,2\n")
    configuration = configured(kind="file", path=str(tmp_path / "events.csv"))
    with closing(open_source(configuration)) as source:
        assert isinstance(source, FileSource)
    with pytest.raises(ConfigurationError, match="read only"):
        open_sink(configuration)
    with pytest.raises(SourceError, match="nowhere"):
        open_source(configured(kind="file", path=str(tmp_path / "nowhere.csv")))


def test_kafka_without_a_broker_is_a_source_error_that_names_it() -> None:
    configuration = configured(kind="kafka", bootstrap_servers="127.0.0.1:1", connect_seconds=0.5)
    for opened in (open_source, open_sink):
        with pytest.raises(SourceError, match=r"127\.0\.0\.1:1"):
            opened(configuration)
    assert named(configuration) == "Kafka topic events at 127.0.0.1:1"
