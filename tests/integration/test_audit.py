"""`streammf audit` says whether a store is what its log gives: of one partition, and of four that no two runs read alike."""

import gzip
import json
import os
import signal
from pathlib import Path
from uuid import uuid4

import pytest

from streammf.errors import ExitCode
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import create_topic
from streammf.serving.client import Client
from tests.integration.logs import made_up_log
from tests.integration.processes import running, settings, streammf
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


def audited(environment: dict[str, str]) -> dict[str, object]:
    done = streammf("audit", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.kafka
def test_four_partitions_learned_through_kills_come_again_bit_for_bit(tmp_path: Path, kafka: str) -> None:
    log, topic = made_up_log(tmp_path, 12_000), f"audit-{uuid4().hex[:8]}"
    often = {"trainer__batch": "200", "trainer__commit_seconds": "0.05"}
    environment = settings(
        tmp_path, source__kind="kafka", source__bootstrap_servers=kafka, source__topics=f'["{topic}"]', **often
    )
    del environment["STREAMMF_SOURCE__PATH"]
    create_topic(KafkaOptions(bootstrap_servers=kafka, topics=[topic]), topic, 4)
    done = streammf("replay", str(log.path), "--to", "kafka", environment=environment)
    assert done.returncode == 0, done.stderr
    with running("serve", "--workers", "1", environment=environment) as server:
        client = Client(server.ready().address)
        for share in (0.3, 0.6):
            with running("train", environment=environment) as trainer:
                wait_for(lambda s=share: client.info().committed >= s * log.events, f"{share:.0%} learned", 180, 0.002)  # type: ignore[misc]
                os.kill(trainer.pid, signal.SIGKILL)
                assert trainer.wait() == -signal.SIGKILL
        with running("train", environment=environment) as trainer:
            wait_for(lambda: client.info().committed == log.events, "everything", 180)
            found = audited(environment)  # while it runs
            trainer.send(signal.SIGTERM)
            assert trainer.wait() == 0
    assert found["same"] is True
    assert (found["events"], found["again"]) == (log.events, log.events)
    assert isinstance(found["runs"], int)
    assert found["runs"] >= 4


def test_another_log_is_found_out(tmp_path: Path) -> None:
    log = made_up_log(tmp_path, 2_000)
    environment = settings(tmp_path, source__kind="file", source__path=str(log.path))
    done = streammf("audit", environment=environment)
    assert done.returncode == ExitCode.STORE, done.stderr
    assert streammf("train", environment=environment).returncode == 0
    done = streammf("audit", environment=environment)
    assert done.returncode == 0, done.stderr
    assert "2,000 events learned again" in done.stdout
    (tmp_path / "other").mkdir()
    other = made_up_log(tmp_path / "other", 1_990)
    done = streammf("audit", environment=environment | {"STREAMMF_SOURCE__PATH": str(other.path)})
    assert done.returncode == ExitCode.DATA_LOSS, done.stderr
    changed = tmp_path / "other" / log.path.name
    *lines, last = gzip.decompress(log.path.read_bytes()).decode().splitlines()
    changed.write_bytes(gzip.compress("\n".join([*lines, last.replace(",", "x,", 1)]).encode()))
    done = streammf("audit", environment=environment | {"STREAMMF_SOURCE__PATH": str(changed)})
    assert done.returncode == ExitCode.STORE
    assert "events were lost or learned twice" in done.stderr
    elsewhere = tmp_path / "elsewhere.csv.gz"
    elsewhere.write_bytes(changed.read_bytes())
    done = streammf("audit", environment=environment | {"STREAMMF_SOURCE__PATH": str(elsewhere)})
    assert done.returncode == ExitCode.DATA_LOSS
    assert "not the log" in done.stderr
