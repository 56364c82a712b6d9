"""Secrets among Kafka's properties: what a run leaves behind, says and answers is searched for them."""

from pathlib import Path

import pytest

from streammf.errors import ExitCode
from streammf.events.kafka import KafkaOptions, create_topic
from streammf.serving.client import Client
from tests.integration.broker import LocalBroker
from tests.integration.processes import running, settings, streammf
from tests.integration.scrapes import page
from tests.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
CANARY = "canary-6c1f"


def properties(broker: LocalBroker) -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": broker.sasl_user,
        "sasl.password": broker.sasl_password,
    }


def environment(folder: Path, address: str, given: dict[str, str]) -> dict[str, str]:
    table = ", ".join(f'"{name}" = "{value}"' for name, value in given.items())
    own = settings(
        folder,
        source__kind="kafka",
        source__bootstrap_servers=address,
        source__connect_seconds="3",
        source__properties=f"{{{table}}}",
        serving__workers="1",
    )
    del own["STREAMMF_SOURCE__PATH"]
    return own


def contents(folder: Path) -> bytes:
    """What stands in its files; those of the live memory are far longer than what is behind them."""
    found = b""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found += file.read(path.stat().st_blocks * 512)
    return found


def test_no_secret_is_in_any_output_metric_answer_or_file(own_kafka: LocalBroker, tmp_path: Path) -> None:
    secret = own_kafka.sasl_password
    create_topic(KafkaOptions(bootstrap_servers=own_kafka.sasl_address, properties=properties(own_kafka)), "events", 1)
    # debug: the client prints what it was told, as much of it as it ever does
    own = environment(tmp_path / "run", own_kafka.sasl_address, properties(own_kafka) | {"debug": "all", "log_level": "7"})
    track = ["track", "--user", "ann", "--item", "film-1"]
    said = [streammf(*command, environment=own) for command in (track, ["config"], ["config", "--json"])]
    assert not any(done.returncode for done in said), said
    with running("up", environment=own) as up:
        up.ready()
        with Client(up.address) as client:
            wait_for(lambda: client.info().committed == 1, "the event to be durable", 60)
            answers = repr(client.info()) + repr(client.health())
        ready = next(line for line in up.lines if line.startswith("ready"))
        metrics = next(word for word in ready.split() if word.endswith("/metrics"))
        pages = [page(metrics.removeprefix("http://").removesuffix("/metrics"), path).text for path in ("/metrics", "/readyz")]
        held = contents(tmp_path / "run")
    copied = streammf("snapshot", "create", str(tmp_path / "copy"), environment=own)
    assert copied.returncode == 0, copied.stderr
    held += contents(tmp_path / "run") + contents(tmp_path / "copy")
    texts = [done.stdout + done.stderr for done in (*said, copied)] + up.lines + pages + [answers]
    assert any("SASL" in line for line in up.lines), "the client did not print what it was told"
    assert not [text for text in texts if secret in text]
    assert secret.encode() not in held


@pytest.mark.parametrize(
    ("name", "value"),
    [("sasl.password", CANARY), ("ssl.key.pem", CANARY), ("ssl.keystore.password", CANARY), ("debug", "none")],
)
def test_no_secret_is_in_the_error_of_a_start_that_fails(own_kafka: LocalBroker, tmp_path: Path, name: str, value: str) -> None:
    given = properties(own_kafka) | {name: value}
    if name.startswith("ssl"):
        given |= {"security.protocol": "SASL_SSL", "ssl.keystore.location": str(tmp_path / "none.p12")}
    done = streammf("train", environment=environment(tmp_path, own_kafka.sasl_address, given))
    assert done.returncode in {ExitCode.SOURCE, ExitCode.CONFIGURATION}, done.stderr
    assert CANARY not in done.stderr + done.stdout
    assert own_kafka.sasl_password not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "text",
    [
        f'[source]\nkind = "kafka"\nproperties = "{CANARY}"',
        f'[source]\nkind = "kafka"\n"sasl.password" = "{CANARY}"',
        f'[source]\nkind = "kafka"\n[source.properties]\n"sasl.password" = ["{CANARY}"]',
        f'[source]\nkind = "kafka"\n[source.properties]\n"sasl.password" = "{CANARY}\n',
        f'[source]\nkind = "kafka"\n[source.properties]\n"acks" = "all"\n"sasl.password" = "{CANARY}"',
    ],
)
def test_no_secret_is_in_the_error_of_a_configuration_that_is_wrong(tmp_path: Path, text: str) -> None:
    (tmp_path / "streammf.toml").write_text(text)
    own = {name: value for name, value in settings(tmp_path).items() if not name.startswith("STREAMMF_SOURCE__")}
    done = streammf("config", "--config", str(tmp_path / "streammf.toml"), environment=own)
    assert done.returncode == ExitCode.CONFIGURATION, done.stdout
    assert str(tmp_path / "streammf.toml") in done.stderr
    assert CANARY not in done.stderr + done.stdout
