"""README is true: every command in it is run here, every setting in it is the code's, every file it names is there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from streammf.operations.configuration import SECTIONS
from tests.integration.logs import made_up_log
from tests.integration.processes import running, settings, until_events
from tests.integration.settings_table import rows
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
pytestmark = pytest.mark.timeout(400)

#: Whatever else runs on this machine: README's own ports may be taken.
ANY_PORT = {"STREAMMF_SERVING__PORT": "0", "STREAMMF_TELEMETRY__PORT": "0"}
#: Run by other tests, or the tests themselves.
ELSEWHERE = {"scripts/demo", "scripts/test", "pip install ."}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command line of README, without the prompt."""
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def run(line: str, folder: Path, environment: dict[str, str]) -> str:
    words = shlex.split(line)
    program = [sys.executable, "-m", "streammf"] if words[0] == "streammf" else [sys.executable, str(ROOT / words[0])]
    done = subprocess.run(
        [*program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


def test_every_command_is_one_that_a_test_runs() -> None:
    known = ELSEWHERE | {line for line in commands() if line.startswith(("streammf ", "scripts/kafka ", "curl "))}
    assert set(commands()) == known
    assert {"scripts/demo", "scripts/test"} <= set(commands())
    assert all(
        os.access(ROOT / script, os.X_OK) for script in ("scripts/demo", "scripts/test", "scripts/kafka", "scripts/bench")
    )


def test_the_first_query_works_as_written(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")} | ANY_PORT
    first = [line for line in commands() if line.startswith(("streammf track", "streammf query"))]
    curl = next(line for line in commands() if line.startswith("curl"))
    assert len(first) >= 5
    with running("up", environment=environment, cwd=tmp_path) as up:
        address = up.ready().address
        environment["STREAMMF_SERVING__PORT"] = address.rpartition(":")[2]
        for line in first:
            said = run(line, tmp_path, environment)
            if line.startswith("streammf query recommend"):
                assert "film-2" in said
        metrics = next(word for line in up.lines if line.startswith("ready") for word in line.split() if "/metrics" in word)
        probe = curl.split()[-1].replace("http://127.0.0.1:9464", metrics.removesuffix("/metrics"))
        with urlopen(probe, timeout=10) as answer:
            assert answer.status == 200
        remote, library = blocks("python")
        seen = python(remote.replace("127.0.0.1:7077", address), tmp_path)
        assert "film-2" in seen
    assert "film-2" in python(library, tmp_path)


def python(text: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_snapshots_are_made_checked_and_restored_as_written(tmp_path: Path) -> None:
    lines = [line for line in commands() if line.startswith(("streammf snapshot", "streammf doctor"))]
    assert len(lines) >= 6
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")} | ANY_PORT
    run("streammf track --user ann --item film-1", tmp_path, environment)
    with running("train", environment=environment, cwd=tmp_path) as trainer:
        trainer.ready()
        wait_for(lambda: run("streammf snapshot create", tmp_path, environment), "the first commit", 60)
        said = [run(line, tmp_path, environment) for line in lines if not alone(line)]
    assert "healthy" in "".join(said)
    compacted, restored = (run(line, tmp_path, environment) for line in lines if alone(line))
    assert "bytes" in compacted
    assert "1 events restored" in restored


def alone(line: str) -> bool:
    """Whether a command wants the trainer stopped."""
    return "restore" in line or "compact" in line


@pytest.mark.kafka
def test_the_way_to_kafka_works_as_written(tmp_path: Path, kafka: str) -> None:
    from streammf.serving.client import Client

    replay, up_line = (
        next(line for line in commands() if line.startswith(start)).replace("127.0.0.1:9092", kafka)
        for start in ("streammf replay", "streammf up --source kafka")
    )
    log = made_up_log(tmp_path, 2_000)
    environment = settings(tmp_path, source__bootstrap_servers=kafka)
    del environment["STREAMMF_SOURCE__PATH"]
    topic = "readme-events"
    run(replay.replace("--topic events", f"--topic {topic}"), tmp_path, environment)
    arguments = shlex.split(up_line.replace("--topic events", f"--topic {topic}"))[1:]
    with running(*arguments, environment=environment) as up:
        until_events(Client(up.ready().address), log.events)


def test_a_log_is_evaluated_and_searched_as_written(tmp_path: Path) -> None:
    made_up_log(tmp_path, 3_000)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")}
    evaluate, tune = (
        next(line for line in commands() if line.startswith(f"streammf {name} ")) for name in ("evaluate", "tune")
    )
    assert "by events the user had before" in run(evaluate, tmp_path, environment)
    assert (tmp_path / "report.html").is_file()
    assert "settings to start from: streammf-tune/best.toml" in run(
        tune.replace("--trials 40", "--trials 3"), tmp_path, environment
    )


def test_the_examples_of_a_settings_file_are_some(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")}
    said = []
    for block in blocks("toml"):
        (tmp_path / "streammf.toml").write_text(block)
        said.append(run("streammf config", tmp_path, environment))
    assert len(said) == 2
    assert "factors = 64" in "".join(said)
    assert "admit_after = 2" in "".join(said)


def test_the_table_of_settings_is_the_codes() -> None:
    wanted = "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows()])
    table = README.partition("prints the right one -->")[2].partition("<!-- /settings -->")[0].strip()
    assert table == wanted, f"put this between the two comments:\n{wanted}"
    assert all(f"`{section}." in wanted for section in SECTIONS)


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`((?:streammf|tests|scripts|deploy)/[\w./-]+)`", README)) | set(
        re.findall(r"\]\(([\w./-]+)\)", README)
    )
    named |= {f"streammf/{name}" for name in re.findall(r"`((?:trainer|events|state|learning|serving)/\w+\.py)`", README)}
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_client_of_the_readme_is_small() -> None:
    said = python("import sys; from streammf import Client; print({'numba', 'numpy', 'lmdb'} & set(sys.modules))", ROOT)
    assert said.strip() == "set()"
