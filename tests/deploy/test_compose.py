"""docker-compose.yml as the library of `docker compose` reads it, and the rules that stand at its head."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy import files
from tests.programs import missing, program

CHECKER = Path(__file__).parent / "composecheck"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = program("go", "Go 1.24 or newer, for compose-go")
    built = tmp_path_factory.mktemp("composecheck") / "composecheck"
    done = subprocess.run([go, "build", "-o", built, "."], cwd=CHECKER, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"compose-go cannot be built: {done.stderr.strip()}")
    return built


def check(checker: Path, *paths: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([checker, *paths], capture_output=True, text=True, check=False)


def test_compose_reads_it_and_sees_the_same_services(checker: Path) -> None:
    done = check(checker, files.COMPOSE)
    assert done.returncode == 0, done.stderr
    project = json.loads(done.stdout)
    assert set(project["services"]) == {"kafka", "topic", "trainer", "workers", "producer", "prometheus", "grafana"}
    assert set(project["volumes"]) == {"kafka", "store", "prometheus", "live"}
    for name in ("trainer", "workers"):
        mounts = {mount["source"]: mount for mount in project["services"][name]["volumes"]}
        assert mounts["live"] == {"type": "volume", "source": "live", "target": "/run/streammf", "volume": {"nocopy": True}}
        assert project["services"][name]["environment"]["STREAMMF_LIVE__PATH"].startswith("/run/streammf/")
    assert project["volumes"]["live"]["driver_opts"]["o"].startswith("size=2g,")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [("kafka:\n        condition", "kafkaa:\n        condition", "kafkaa"), ("ports:", "portz:", "portz")],
)
def test_the_check_finds_what_is_wrong(checker: Path, tmp_path: Path, right: str, wrong: str, said: str) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(files.COMPOSE.read_text().replace(right, wrong))
    done = check(checker, broken)
    assert done.returncode == 1
    assert said in done.stderr


def test_every_image_has_a_version() -> None:
    images = {each["image"] for each in files.services().values()}
    assert len(images) == 4
    assert all(re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image) for image in images)


def test_every_port_is_published_on_loopback_only() -> None:
    ports = [port for each in files.services().values() for port in each.get("ports", [])]
    assert len(ports) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)


def test_what_waits_for_a_service_waits_for_one_that_can_come() -> None:
    services = files.services()
    for name, each in services.items():
        waits = each.get("depends_on", {})
        for other, how in waits.items() if isinstance(waits, dict) else []:
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (name, other)
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no", (name, other)
