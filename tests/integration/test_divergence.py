"""`up` at rates at which the model diverges: back at the last commit it goes on answering, and says why it does not learn."""

import signal
from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.serving.client import Client
from tests.integration.logs import made_up_log
from tests.integration.processes import running, settings, streammf, until_events
from tests.integration.scrapes import page, value
from tests.integration.test_telemetry import metrics_address, replay, scrape
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)


def test_a_model_that_diverges_is_dropped_and_queries_go_on(tmp_path: Path) -> None:
    environment = settings(tmp_path)
    log = made_up_log(tmp_path, 3_000).path
    replay(log, environment)
    with running("up", environment=environment) as up:
        until_events(Client(up.ready().address), 3_000)
    good = streammf("snapshot", "digest", environment=environment).stdout
    replay(log, environment)
    fast = environment | {f"STREAMMF_LEARNING__{name}_RATE": "10" for name in ("USER", "ITEM", "HISTORY")}
    fast |= {"STREAMMF_TRAINER__COMMIT_SECONDS": "600", "STREAMMF_TRAINER__COMMIT_EVENTS": "1000000"}
    with running("up", environment=fast) as up:
        address = metrics_address(up)
        wait_for(lambda: value(scrape(address), "streammf_diverged") == 1, "the brake", 60)
        wait_for(lambda: "the model has diverged" in page(address, "/readyz").text, "the reason")
        assert page(address, "/readyz").status == 503
        client = Client(up.address)
        wait_for(lambda: client.info().events == 3_000, "the generation of the last commit")
        assert len(client.popular(k=5)) == 5
        assert value(scrape(address), "streammf_process_starts_total", process="trainer") <= 2
        up.send(signal.SIGTERM)
        up.wait()
    assert streammf("snapshot", "digest", environment=environment).stdout == good
    with running("train", environment=fast) as train:
        wait_for(lambda: any("the model has diverged" in line for line in train.lines), "the brake", 100)
        train.send(signal.SIGTERM)
        assert train.wait() == ExitCode.DIVERGED
    with running("up", environment=environment) as up:
        until_events(Client(up.ready().address), 6_000)
