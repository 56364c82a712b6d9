"""A record that kills every trainer that touches it: `up` outlives it, and learns everything else."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from streammf.events.log import LogSink
from streammf.serving.client import Client
from tests.integration.processes import running, settings, streammf, until_events

pytestmark = pytest.mark.timeout(300)

#: Python runs this before anything else: each trainer, and nobody else, dies of the user `deadly` in the decoder.
DEADLY = """
import os, sys
if "train" in sys.orig_argv:
    from streammf.trainer.decoding import Decoder
    decode = Decoder.decode
    def decode_or_die(self, records):
        if any(b"deadly" in value for value in records.values):
            os.abort()
        return decode(self, records)
    Decoder.decode = decode_or_die
"""


def test_up_outlives_a_record_that_kills_its_trainer(tmp_path: Path) -> None:
    with closing(LogSink(tmp_path / "log", create=True)) as sink:
        for n in range(300):
            sink.append(b"", b'{"user":"%s","item":"i%d"}' % (b"deadly" if n == 200 else b"u", n), 1_700_000_000_000)
    (tmp_path / "sitecustomize.py").write_text(DEADLY)
    environment = settings(tmp_path)
    paths = [str(tmp_path), *filter(None, [environment.get("PYTHONPATH")])]
    with running("up", environment=environment | {"PYTHONPATH": os.pathsep.join(paths)}) as up:
        until_events(Client(up.ready().address), 299)
        deaths = [line for line in up.lines if "was killed by SIGABRT" in line]
        assert len(deaths) == 3, up.lines
    listed = streammf("quarantine", "list", environment=environment).stdout
    assert "log/0@200  poison: the trainer died 3 times while it worked on this record" in listed
