"""The command line as a whole: help, speed, errors, exit codes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streammf.cli import COMMANDS
from streammf.errors import ExitCode
from tests.cli.commands import environment, streammf

HEAVY = ("numba", "numpy", "confluent_kafka", "lmdb", "rich")
IMPORTED_BY = """
import sys
from streammf.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    print(end.code, *sorted(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


def imported_by(*arguments: str) -> tuple[str, list[str]]:
    """Exit code of a command, and which heavy libraries it loaded."""
    program = IMPORTED_BY.format(arguments=list(arguments), heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True)
    code, *names = done.stderr.split()
    return code, names


def test_help_loads_nothing_heavy() -> None:
    assert imported_by("--help") == ("0", [])


@pytest.mark.parametrize("command", [*COMMANDS])
def test_the_help_of_every_command_shows_examples_and_loads_no_kernel(command: str, tmp_path: Path) -> None:
    done = streammf(tmp_path, command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Examples:\n    streammf {command}" in done.stdout
    assert not {"numba", "confluent_kafka"} & set(imported_by(command, "--help")[1])


def test_without_a_command_the_help_is_shown_line_by_line(tmp_path: Path) -> None:
    done = streammf(tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == streammf(tmp_path, "--help").stdout


def test_help_is_there_in_less_than_three_tenths_of_a_second(tmp_path: Path) -> None:
    """The best of five: what the machine's other work costs is not ours."""
    durations = []
    for _ in range(5):
        begun = time.perf_counter()
        done = streammf(tmp_path, "--help")
        durations.append(time.perf_counter() - begun)
        assert done.returncode == 0
    assert min(durations) < 0.3
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trian"], 2, "No such command 'trian'"),
        (["query", "recommend", "--user"], 2, "requires an argument"),
        (["config", "--config", "nowhere.toml"], 3, "cannot read the configuration file nowhere.toml"),
        (["replay", "nowhere.csv", "--to", "log"], 4, "nowhere.csv cannot be read"),
        (["track", "--source", "kafka", "--bootstrap", "127.0.0.1:1", "--user", "a", "--item", "b"], 4, "127.0.0.1:1"),
        (["query", "health", "--address", "127.0.0.1:1"], 9, "no server answers at 127.0.0.1:1"),
    ],
)
def test_an_error_is_one_line_and_its_own_exit_code(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    settings = {"STREAMMF_SOURCE__CONNECT_SECONDS": "0.5"} if "kafka" in arguments else {}
    done = streammf(tmp_path, *arguments, **settings)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.startswith("streammf: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streammf", "track", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("no event\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith("line 1: malformed")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().strip() == ""


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m streammf config | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[source]\n", "")
