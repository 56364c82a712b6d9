"""The folder of an embedded log, and what becomes of who reads it when it goes."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from streammf.errors import DataLossError
from streammf.events.log import LogSink, LogSource


def test_a_log_that_is_deleted_while_it_is_read_is_data_loss_that_says_so(tmp_path: Path) -> None:
    with closing(LogSink(tmp_path / "log", create=True)) as sink:
        sink.append(b"", b"a", 1)
    with closing(LogSource(tmp_path / "log")) as source:
        assert source.poll(10, 1) is not None
        shutil.rmtree(tmp_path / "log")
        with pytest.raises(DataLossError, match="was deleted while it was in use"):
            source.poll(10, 1)
