"""The printed configuration, as the command prints it."""

import json
import tomllib
from pathlib import Path

from tests.cli.commands import streammf


def test_settings_of_the_environment_are_shown_with_their_origin(tmp_path: Path) -> None:
    done = streammf(tmp_path, "config", STREAMMF_SERVING__PORT="7100")
    assert tomllib.loads(done.stdout)["serving"]["port"] == 7100
    assert "# STREAMMF_SERVING__PORT" in done.stdout


def test_json_says_value_and_origin(tmp_path: Path) -> None:
    (tmp_path / "streammf.toml").write_text("[learning]\nfactors = 8\n")
    found = json.loads(streammf(tmp_path, "config", "--json").stdout)
    assert found["learning"]["factors"] == {"value": 8, "origin": "streammf.toml"}


def test_a_secret_is_in_no_output(tmp_path: Path) -> None:
    for text in ('{"sasl.password" = "canary"}', '{"sasl.password" = "canary"'):
        settings = {"STREAMMF_SOURCE__KIND": "kafka", "STREAMMF_SOURCE__PROPERTIES": text}
        for arguments in (("config",), ("config", "--json"), ("track", "--user", "a", "--item", "b"), ("train",)):
            done = streammf(tmp_path, *arguments, STREAMMF_SOURCE__CONNECT_SECONDS="0.2", **settings)
            assert done.stdout + done.stderr
            assert "canary" not in done.stdout + done.stderr
