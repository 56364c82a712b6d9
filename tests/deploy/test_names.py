"""Everything that deploy/ and docker-compose.yml name is there: settings, flags, files, ports, series, users, versions."""

import re
import shlex
from pathlib import Path

import pytest

import streammf
from streammf.cli import group
from streammf.operations.configuration import SECTIONS, load
from streammf.operations.telemetry import TelemetryOptions
from streammf.serving.options import ServingOptions
from tests.deploy import files

OURS = files.services("streammf:")
#: Read by docker-compose.yml and by scripts/image, not by StreamMF.
NO_SETTINGS = {"STREAMMF_LIVE_SIZE", "STREAMMF_IMAGE_FOLDER"}
TEXTS = [files.COMPOSE, *(path for path in files.DEPLOY.rglob("*") if path.suffix in {".md", ".yml", ".json", ".py", ""})]


def texts() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in TEXTS if path.is_file()]


def require_command(words: list[str]) -> None:
    """click's own check of a command line, without running it."""
    assert group.make_context("streammf", words[:1], resilient_parsing=True)
    command, rest = group.get_command(group.make_context("streammf", [], resilient_parsing=True), words[0]), words[1:]
    assert command, words
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("streammf", rest)


@pytest.mark.parametrize("name", OURS)
def test_settings_of_compose_are_settings(name: str, tmp_path: Path) -> None:
    load(None, {key: str(value) for key, value in OURS[name]["environment"].items()}, folder=tmp_path).check()


def test_settings_named_in_texts_exist() -> None:
    named = {(where, name) for where, text in texts() for name in re.findall(r"STREAMMF_[A-Z_]+", text)}
    assert len(named) > 8
    known = NO_SETTINGS | {
        f"STREAMMF_{section}__{key}".upper()
        for section, kinds in SECTIONS.items()
        for kind in kinds
        for key in {
            row.key for row in load(None, {f"STREAMMF_{section}__KIND": kind} if kind else {}).rows() if row.section == section
        }
    }
    assert not {(where, name) for where, name in named if name not in known}


def test_commands_of_compose_and_image_are_commands() -> None:
    commands = [each["command"] for each in OURS.values() if "entrypoint" not in each]
    dockerfile = files.DOCKERFILE.read_text()
    commands += [re.findall(r'"([^"]*)"', line) for line in re.findall(r"^CMD (\[.*\])", dockerfile, re.MULTILINE)]
    health = re.search(r'HEALTHCHECK .*CMD \["streammf", (.*)\]', dockerfile)
    assert health
    commands.append(re.findall(r'"([^"]*)"', health[1]))
    assert len(commands) == 4
    for words in commands:
        require_command(words)


def test_commands_in_readme_are_commands() -> None:
    lines = re.findall(r"(?<![\w/-])streammf ((?:track|query|replay|up|train|serve)\b[^`\n]*)", files.README.read_text())
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line.replace("ratings.csv.gz", "README.md"))
        require_command(words if "-" in line else words[:2] if words[0] == "query" else words[:1])


def test_files_that_are_mounted_copied_or_named_are_there() -> None:
    mounts = [str(mount).split(":")[0] for each in files.services().values() for mount in each.get("volumes", [])]
    paths = [files.ROOT / mount for mount in mounts if mount.startswith("./")]
    copied = [
        word for line in re.findall(r"^COPY (.*) \S+$", files.DOCKERFILE.read_text(), re.MULTILINE) for word in line.split()
    ]
    paths += [files.ROOT / name for name in copied]
    for _, text in texts():
        paths += [files.ROOT / name for name in re.findall(r"(?<![\w/-])((?:deploy|tests|scripts|streammf)/[\w./-]+\w)", text)]
    paths += [files.DEPLOY / name for name in re.findall(r"\]\(([\w./-]+)\)", files.README.read_text())]
    assert len(paths) > 20
    assert not [str(path) for path in paths if not path.exists()]
    sent = set(re.findall(r"^!(.*)$", (files.ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert {name.rstrip("/") for name in copied} == sent


def test_ports_are_those_that_are_listened_on() -> None:
    telemetry = load(None, {}).of(TelemetryOptions)
    port = load(None, {}).of(ServingOptions).port
    published = {name: [each.split(":") for each in service["ports"]] for name, service in OURS.items() if "ports" in service}
    assert published == {
        "trainer": [["127.0.0.1", str(telemetry.port), str(telemetry.port)]],
        "workers": [["127.0.0.1", str(p), str(p)] for p in (port, telemetry.workers_port)],
    }
    targets = files.read_yaml(files.PROMETHEUS)["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"trainer:{telemetry.port}", f"workers:{telemetry.workers_port}"]
    exposed = re.search(r"^EXPOSE (.*)$", files.DOCKERFILE.read_text(), re.MULTILINE)
    assert exposed
    assert exposed[1].split() == [str(p) for p in (port, telemetry.port, telemetry.workers_port)]
    assert f"127.0.0.1:{telemetry.port}/livez" in OURS["trainer"]["healthcheck"]["test"][-1]
    assert f"workers:{port}" in OURS["producer"]["command"]


def test_series_are_documented() -> None:
    known = files.documented_series()
    ends = re.compile(r"(_bucket|_sum|_count)$")
    named = {
        (where, name)
        for where, text in texts()
        if not where.startswith("metrics")
        for name in re.findall(r"\bstreammf_[a-z_]+\b", text)
    } - {("README.md", "streammf_live")}  # a volume
    assert len(named) > 20
    assert not {(where, name) for where, name in named if name not in known and ends.sub("", name) not in known}


def test_the_image_has_the_packages_version_and_user_that_compose_speaks_of() -> None:
    assert {each["image"] for each in OURS.values()} == {f"streammf:{streammf.__version__}"}
    user = re.search(r"^USER (\d+):(\d+)$", files.DOCKERFILE.read_text(), re.MULTILINE)
    assert user
    assert f"uid={user[1]},gid={user[2]},mode=0700" in files.compose()["volumes"]["live"]["driver_opts"]["o"]
