"""One scrape sees trainer and workers, whatever dies: real processes, asked over HTTP as Prometheus and orchestrators ask."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from streammf.errors import NoModelError, RequestError, StreamMFError
from streammf.events.kafka_options import KafkaOptions
from streammf.events.kafka_sink import create_topic
from streammf.events.log import LogSink
from streammf.serving.client import Client
from tests.integration.broker import LocalBroker
from tests.integration.logs import made_up_log
from tests.integration.processes import Running, running, settings, streammf, until_events
from tests.integration.scrapes import page, rows, series, totals, value
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)
#: Workers killed, one after another.
KILLS = int(os.environ.get("STREAMMF_TEST_KILLS", "10"))
DOCUMENT = Path(__file__).parents[2] / "deploy" / "metrics.md"
HEAD = ["| series | type | labels | meaning |", "|---|---|---|---|"]


def metrics_address(process: Running) -> str:
    """Where a command says that its metrics are."""
    line = next(line for line in process.ready().lines if line.startswith("ready"))
    found = re.search(r"metrics at http://(\S+)/metrics", line)
    assert found, line
    return found[1]


def scrape(address: str) -> str:
    answer = page(address, "/metrics")
    assert answer.status == 200
    return answer.text


def replay(log: Path, environment: dict[str, str], kind: str = "log") -> None:
    done = streammf("replay", str(log), "--to", kind, environment=environment)
    assert done.returncode == 0, done.stderr


@contextmanager
def learning(folder: Path, events: int = 3_000, **more: str) -> Iterator[tuple[Running, str]]:
    """`up` that has learned `events` events of a made-up log, and where its metrics are."""
    environment = settings(folder, **more)
    replay(made_up_log(folder, events).path, environment)
    with running("up", environment=environment) as up:
        address = metrics_address(up)
        until_events(Client(up.address), events)
        yield up, address


class Load:
    """Queries without a pause, from threads; and how many were answered."""

    def __init__(self, address: str, threads: int = 2) -> None:
        self.answered = 0
        self._stop = Event()
        self._threads = [Thread(target=self._ask, args=(address,), daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Return when every answer that is waited for has come."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, address: str) -> None:
        with Client(address, timeout=5) as client:
            while not self._stop.is_set():
                try:
                    client.popular(k=5)
                    self.answered += 1
                except (NoModelError, RequestError, StreamMFError, OSError):
                    continue  # its worker was killed


def test_a_scrape_during_load_shows_every_series_with_sane_values(tmp_path: Path) -> None:
    with learning(tmp_path) as (up, address), Load(up.address) as load:
        wait_for(lambda: load.answered > 300, "queries answered")
        wait_for(lambda: value(scrape(address), "streammf_log_end") == 3_000, "the log's end to be looked at")
        wait_for(lambda: value(scrape(address), "streammf_committed_events") == 3_000, "everything to be durable")
        text = scrape(address)
        assert value(text, "streammf_events_total", outcome="applied") == value(text, "streammf_model_events") == 3_000
        assert value(text, "streammf_events_total", outcome="already_applied") == value(text, "streammf_rejected_total") == 0
        assert value(text, "streammf_position") == value(text, "streammf_log_readable") == 3_000
        assert value(text, "streammf_lag_messages") == value(text, "streammf_lag_seconds") == 0
        assert value(text, "streammf_batch_events_sum") == value(text, "streammf_freshness_seconds_count") == 3_000
        assert value(text, "streammf_commit_age_seconds") == 0 <= value(text, "streammf_published_age_seconds") < 10
        batches = value(text, "streammf_batch_events_count")
        for step in ("decode", "learn", "publish"):
            assert value(text, f"streammf_{step}_seconds_count") >= batches
            assert 0 < value(text, f"streammf_{step}_seconds_sum") < 60
        assert value(text, "streammf_commit_write_seconds_count") >= 1
        assert 200 < value(text, "streammf_rows", table="users") <= 300
        assert 1e5 < value(text, "streammf_live_memory_bytes") < 1e8
        assert 1e4 < value(text, "streammf_store_bytes") < 1e8
        assert value(text, "streammf_process_up") == value(text, "streammf_process_starts_total") == 3
        assert 300 < value(text, "streammf_queries_total", op="popular", outcome="ok") <= load.answered + 100
        assert 2 <= value(text, "streammf_connections") <= 4
        assert value(text, "streammf_ready") == 1
        assert page(address, "/readyz") == (200, "ready\n")
        load.stop()
        quiet = settled(address, processes=3)
        answered = value(quiet, "streammf_queries_total", op="popular", outcome="ok")
        assert answered == value(quiet, "streammf_query_seconds_count", op="popular")


@pytest.mark.timeout(400 + 10 * KILLS)
def test_killing_workers_and_the_trainer_changes_no_total_and_adds_no_series(tmp_path: Path) -> None:
    with learning(tmp_path, serving__workers="3") as (up, address):
        with Load(up.address) as load:
            wait_for(lambda: load.answered > 100, "queries answered")
            first = last = scrape(address)
            for n in range(KILLS):
                kill(address, f"worker-{n % 3 + 1}", up)
                before, last = totals(last), scrape(address)
                assert not {key for key, number in totals(last).items() if number < before[key]}
            assert series(last).keys() == series(first).keys()
            assert value(last, "streammf_queries_total", op="popular", outcome="ok") >= 100
        quiet = settled(address)
        for name in ("worker-1", "worker-2", "worker-3", "trainer"):
            kill(address, name, up)
        after = settled(address)
        own = ("streammf_process_starts_total", "streammf_publish_seconds", "streammf_commit", "streammf_batch_events")
        changed = {key for key in totals(after).items() ^ totals(quiet).items() if not str(key[0][0]).startswith(own)}
        assert not changed
        assert series(after).keys() == series(quiet).keys()
        assert value(after, "streammf_process_starts_total") == 4 + KILLS + 4


def settled(address: str, processes: int = 4) -> str:
    """A scrape once everybody is there, nothing waits and no connection is open."""

    def quiet() -> str:
        text = scrape(address)
        calm = value(text, "streammf_process_up") == processes and value(text, "streammf_connections") == 0
        return text if calm and value(text, "streammf_log_end") and page(address, "/readyz").status == 200 else ""

    return wait_for(quiet, "everybody to be there and nobody to ask", 60)


def kill(address: str, name: str, up: Running) -> None:
    """SIGKILL to the process of a slot, and wait for its successor."""
    starts = value(scrape(address), "streammf_process_starts_total", process=name)
    os.kill(pid_of(name, up), signal.SIGKILL)

    def back() -> bool:
        text = scrape(address)
        started = value(text, "streammf_process_starts_total", process=name) == starts + 1
        return started and value(text, "streammf_process_up", process=name) == 1

    wait_for(back, f"{name} to be there again", 60, pause=0.05)


def pid_of(name: str, up: Running) -> int:
    """The child of `up` that counts in a slot."""
    role, _, number = name.partition("-")
    wanted = "\0train\0" if role == "trainer" else f"\0--number\0{number}\0"
    children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
    for child in children:
        if wanted in Path(f"/proc/{child}/cmdline").read_text():
            return int(child)
    raise AssertionError(f"{name} is no child of {up.pid}")


def test_no_id_and_no_bad_client_adds_a_series(tmp_path: Path) -> None:
    with learning(tmp_path, 500) as (up, address):
        wait_for(lambda: value(scrape(address), "streammf_log_end"), "the log's end to be looked at")
        before = series(scrape(address)).keys()
        host, port = up.address.split(":")
        for n in range(200):
            with socket.create_connection((host, int(port)), 5) as client:
                client.sendall(bytes([n % 256]) * 8 + os.urandom(20))
        with Client(up.address) as client:
            for n in range(200):
                client.recommend(f"stranger-{n}-{os.urandom(4).hex()}", k=2)
        with closing(LogSink(tmp_path / "log")) as sink:
            for n in range(100):
                sink.append(b"", b'{"user":"u%d","item":"i","type":"odd-%d"}' % (n, n), 0)
                sink.append(b"", b'{"user":"u%d","item":"i%d"}' % (n, n), 0)
        wait_for(lambda: value(scrape(address), "streammf_rejected_total", reason="unknown_type") == 100, "what is rejected")
        text = scrape(address)
        assert series(text).keys() == before
        assert value(text, "streammf_connection_faults_total", reason="bad_frame") > 0
        assert value(text, "streammf_queries_total", op="recommend", outcome="ok") == 200


def test_the_documents_table_is_what_a_scrape_shows(tmp_path: Path) -> None:
    with learning(tmp_path, 500) as (_, address):
        wait_for(lambda: value(scrape(address), "streammf_log_end"), "the log's end to be looked at")
        wanted = "\n".join([*HEAD, *rows(scrape(address))])
    table = DOCUMENT.read_text().partition("both ways.\n")[2].strip()
    assert table == wanted, f"put this at the end of {DOCUMENT.name}:\n{wanted}"


def test_promtool_finds_nothing_to_say_about_the_metrics(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        message = "promtool is not installed (Debian: prometheus)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with learning(tmp_path, 500) as (_, address):
        text = scrape(address)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_train_and_serve_by_themselves_tell_their_own_part(tmp_path: Path) -> None:
    environment = settings(tmp_path, serving__workers="1")
    with running("serve", environment=environment) as serve:
        workers = metrics_address(serve)
        assert page(workers, "/livez") == (200, "alive\n")
        assert page(workers, "/readyz") == (503, "not ready: there is no model yet\n")
        with running("train", environment=environment) as train:
            trainer = metrics_address(train)
            wait_for(lambda: page(trainer, "/readyz") == (200, "ready\n"), "the trainer to be ready")
            wait_for(lambda: page(workers, "/readyz") == (200, "ready\n"), "the worker to be ready")
            text = scrape(trainer)
            assert "streammf_queries_total{" not in text
            assert value(text, "streammf_process_up", process="trainer") == 1
            train.send(signal.SIGTERM)
            assert train.wait() == 0
        text = scrape(workers)
        assert "streammf_events_total{" not in text
        assert "streammf_position{" not in text
        assert value(text, "streammf_process_up", process="worker-1") == 1
        answer = page(workers, "/readyz")
        assert answer.status == 200
        assert "remark: the trainer has ended" in answer.text
        assert page(workers, "/nothing").status == 404


def test_telemetry_can_be_switched_off_and_a_taken_port_is_named(tmp_path: Path) -> None:
    with running("up", environment=settings(tmp_path, telemetry__enabled="false")) as up:
        assert "metrics" not in next(line for line in up.ready().lines if line.startswith("ready"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = streammf("up", environment=settings(tmp_path, telemetry__port=str(port)))
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port} ([telemetry])" in done.stderr
    assert "telemetry.enabled = false" in done.stderr


def slowest(ask: Callable[[], object], times: int) -> float:
    """Seconds, the median: a machine that is busy with other tests stops for longer now and then."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[times // 2]


@pytest.mark.kafka
def test_readyz_says_why_while_kafka_is_down_and_livez_does_not_care(tmp_path: Path, own_kafka: LocalBroker) -> None:
    options = KafkaOptions(bootstrap_servers=own_kafka.address, topics=["events"])
    create_topic(options, "events", 2)
    environment = settings(
        tmp_path, source__kind="kafka", source__bootstrap_servers=own_kafka.address, source__topics='["events"]'
    )
    del environment["STREAMMF_SOURCE__PATH"]
    replay(made_up_log(tmp_path, 1_000).path, environment, "kafka")
    with running("up", environment=environment) as up:
        address = metrics_address(up)
        until_events(Client(up.address), 1_000)
        wait_for(lambda: value(scrape(address), "streammf_log_end") == 1_000, "the topic's ends")
        assert page(address, "/readyz") == (200, "ready\n")
        own_kafka.kill()
        wait_for(lambda: page(address, "/readyz").status == 503, "the outage to be noticed", 60)
        assert page(address, "/readyz").text.startswith("not ready: the log cannot be reached: ")
        wait_for(lambda: "refused" in page(address, "/readyz").text, "the client's own reason", 60)
        assert page(address, "/livez") == (200, "alive\n")
        for path in ("/livez", "/readyz"):
            assert slowest(lambda p=path: page(address, p), 21) < 0.05  # type: ignore[misc]
        text = scrape(address)
        assert value(text, "streammf_ready") == 0
        assert value(text, "streammf_log_end") == 1_000
        own_kafka.start()
        wait_for(lambda: page(address, "/readyz") == (200, "ready\n"), "the broker to be noticed", 60)
