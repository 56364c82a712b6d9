"""The printed configuration."""

import tomllib
from pathlib import Path

from streammf.operations.configuration import SECTIONS, load
from streammf.operations.listing import as_objects, as_toml

SECRET = {
    "STREAMMF_SOURCE__KIND": "kafka",
    "STREAMMF_SOURCE__PROPERTIES": '{"sasl.password" = "canary", "client.id" = "x"}',
}


def test_what_is_printed_is_a_configuration_that_means_the_same(tmp_path: Path) -> None:
    rows = list(load(environment={"STREAMMF_LEARNING__OBJECTIVE": "rating"}, folder=tmp_path).rows())
    (tmp_path / "streammf.toml").write_text(as_toml(rows))
    again = list(load(environment={}, folder=tmp_path).rows())
    assert [row[:3] for row in again] == [row[:3] for row in rows]
    assert {row.section for row in rows} == set(SECTIONS)


def test_secrets_are_printed_in_no_format(tmp_path: Path) -> None:
    rows = list(load(environment=SECRET, folder=tmp_path).rows())
    text = as_toml(rows)
    assert "canary" not in text
    assert tomllib.loads(text)["source"]["properties"] == {"sasl.password": "***", "client.id": "x"}
    assert "canary" not in repr(as_objects(rows))


def test_every_line_says_where_its_value_comes_from(tmp_path: Path) -> None:
    text = as_toml(load(environment={"STREAMMF_SERVING__PORT": "7"}, folder=tmp_path).rows())
    lines = [line for line in text.splitlines() if "=" in line]
    assert [line.split()[:3] for line in lines if "STREAMMF_SERVING__PORT" in line] == [["port", "=", "7"]]
    assert all("# default" in line or "STREAMMF" in line for line in lines)
