"""What messages about settings say."""

from enum import Enum
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from streammf.operations.wording import HIDDEN, allowed, is_secret, nearest, shown, toml, without_secrets


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "an integer"),
        (Annotated[int, Meta(ge=1, le=512)], "an integer from 1 to 512"),
        (Annotated[int, Meta(ge=1)], "an integer at least 1"),
        (Annotated[float, Meta(gt=0)], "a number above 0"),
        (Annotated[float, Meta(gt=0, le=10)], "a number above 0 and at most 10"),
        (bool, "true or false"),
        (str, "a text"),
        (Annotated[str, Meta(min_length=1)], "a text that is not empty"),
        (Literal["ranking", "rating"], 'one of "ranking", "rating"'),
        (Colour, 'one of "red", "blue"'),
        (list[str], "a list, each a text"),
        (tuple[float, float], "a list of a number and a number"),
        (dict[str, Annotated[float, Meta(ge=0)]], "a table of names, each with a number at least 0"),
        (int | None, "an integer"),
        (int | bool, "an integer or true or false"),
    ],
)
def test_a_type_is_said_with_its_bounds(kind: object, words: str) -> None:
    assert set(allowed(kind).split(" or ")) == set(words.split(" or "))


def test_the_nearest_word_is_named_and_all_where_none_is_near() -> None:
    assert nearest("factros", ["factors", "seed"]) == "did you mean factors?"
    assert nearest("zzz", ["b", "a"]) == "there are: a, b"


@pytest.mark.parametrize(
    "name",
    [
        *("sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.jaas.config", "api_key", "client_secret", "TOKEN"),
        *("sasl.oauthbearer.config", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.assertion.private.key.passphrase"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["path", "keyed", "monkey", "bootstrap_servers", "sasl.username", "security.protocol"])
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert not is_secret(name)


def test_secrets_are_hidden_at_any_depth_and_empty_ones_are_not() -> None:
    given = {"a": {"sasl.password": "canary", "sasl.username": "ann"}, "token": ""}
    assert without_secrets("properties", given) == {"a": {"sasl.password": HIDDEN, "sasl.username": "ann"}, "token": ""}


def test_a_table_of_numbers_is_shown_and_one_of_texts_never() -> None:
    assert shown("learning.types", {"click": "a"}, dict[str, float]) == '{click = "a"}'
    assert shown("learning.types", {"api_key": "canary"}, dict[str, float]) == '{api_key = "***"}'
    assert shown("source.properties", {"client.id": 1}, dict[str, str]) == HIDDEN
    assert shown("source.properties", {"sasl.password": "canary"}, str) == HIDDEN
    assert shown("source.properties", '{"sasl.password" = "canary"', dict[str, str]) == HIDDEN
    assert shown("source.path", "here", int) == '"here"'


def test_a_value_is_written_as_toml_reads_it() -> None:
    import tomllib

    value = {"a.b": [1, 2.5, True], "text": 'quo"te\\ \n é', "table": {"x": -1}}
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}
