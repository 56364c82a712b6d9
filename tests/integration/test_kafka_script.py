"""scripts/kafka: what it says, and that it says it in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.broker import SCRIPT, LocalBroker


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


def the_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("kafka: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_missing_program_is_named_with_what_to_install(tmp_path: Path) -> None:
    cache = {"STREAMMF_KAFKA_CACHE": str(tmp_path / "jars")}
    programs = tmp_path / "programs"
    programs.mkdir()
    error = the_error(run("start", "--folder", tmp_path / "kafka", PATH=str(programs), **cache))
    assert "java was not found: install a Java 17" in error
    (programs / "java").write_text("")
    (programs / "java").chmod(0o755)
    error = the_error(run("start", "--folder", tmp_path / "kafka", PATH=str(programs), **cache))
    assert "mvn was not found: install Maven" in error


def test_no_broker_is_said_with_the_folder(tmp_path: Path) -> None:
    for command in (["status"], ["topic", "clicks"]):
        assert f"no broker runs in {tmp_path}" in the_error(run(*command, "--folder", tmp_path))
    assert run("stop", "--folder", tmp_path).stdout == "no broker was running\n"


@pytest.mark.kafka
def test_a_broker_is_started_once_and_keeps_its_address_and_topics(own_kafka: LocalBroker) -> None:
    folder = ("--folder", str(own_kafka.folder))
    address = f"{own_kafka.address}\n"
    assert run("start", *folder).stdout == run("status", *folder).stdout == address
    assert run("topic", "clicks", "--partitions", "4", *folder).stdout == "topic clicks created\n"
    assert run("stop", *folder).stdout == "stopped\n"
    the_error(run("status", *folder))
    assert run("start", *folder).stdout == address
    assert run("topic", "clicks", *folder).stdout == "topic clicks was there already\n"
    assert "to create topic not/allowed" in the_error(run("topic", "not/allowed", *folder))


@pytest.mark.kafka
def test_a_taken_port_is_said_before_anything_starts(own_kafka: LocalBroker, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "broker.json").write_text((own_kafka.folder / "broker.json").read_text())
    error = the_error(run("start", "--folder", other))
    assert f"port {own_kafka.address.split(':')[1]}" in error
    assert str(other / "broker.json") in error


@pytest.mark.kafka
def test_a_broker_that_dies_says_why(own_kafka: LocalBroker) -> None:
    own_kafka.stop()
    identity = own_kafka.folder / "data" / "meta.properties"
    identity.write_text(identity.read_text().replace("node.id=1", "node.id=2"))
    error = the_error(run("start", "--folder", own_kafka.folder))
    assert "the broker did not start: " in error
    assert "Stored node id 2" in error
    assert str(own_kafka.folder / "server.log") in error
