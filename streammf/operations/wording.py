"""A type, its bounds and a wrong value in words: what a message about a setting says.

Rules of this file:
1. It reads types as msgspec declares them (`Annotated[..., msgspec.Meta(...)]`), so no bound is written down twice.
2. A value that may hold a secret is never repeated in a message.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import inspect

#: Names of settings whose values are not shown: sasl.password, ssl.key.pem, sasl.jaas.config ...
_SECRET: Final = re.compile(
    r"password|passphrase|secret|\bkey\b|_key\b|jaas|token|oauthbearer\.(?:config|extensions)", re.IGNORECASE
)
HIDDEN: Final = "***"


def nearest(word: str, known: Iterable[str]) -> str:
    """Half a sentence that names the right word: the one most like it, or all where none is."""
    choices = sorted(known)
    like = difflib.get_close_matches(word, choices, 1, 0.5)
    return f"did you mean {like[0]}?" if like else f"there are: {', '.join(choices)}"


def is_secret(name: str) -> bool:
    """Whether a setting of this name is hidden."""
    return bool(_SECRET.search(name))


def without_secrets(name: str, value: object) -> object:
    """The value as it may be shown, at any depth."""
    if isinstance(value, dict):
        return {key: without_secrets(str(key), inner) for key, inner in value.items()}
    return HIDDEN if is_secret(name) and value not in ("", None) else value


def shown(name: str, value: object, kind: object) -> str:
    """The value for a message. What is or should be a table of texts is not repeated: a broken one may hold a secret."""
    wanted = inspect.type_info(kind)
    is_table = isinstance(value, dict)
    if isinstance(wanted, inspect.DictType):
        if is_table and not isinstance(wanted.value_type, inspect.StrType):
            return toml(without_secrets(name, value))  # a table of numbers
        is_table = True
    return HIDDEN if is_table or is_secret(name) else toml(value)


def toml(value: object) -> str:
    """One value as TOML writes it on one line."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{_key(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(toml(inner) for inner in value) + "]"
        case _:
            return msgspec.json.encode(str(value)).decode()


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else toml(text)


def allowed(kind: object) -> str:
    """What a setting of this type takes: "an integer from 1 to 512"."""
    return _allowed(inspect.type_info(kind))


def _allowed(info: Any) -> str:  # noqa: ANN401, PLR0911 - one of msgspec's thirty descriptions; a table of cases
    match info:
        case inspect.Metadata():
            return _allowed(info.type)
        case inspect.IntType() | inspect.FloatType():
            return ("an integer" if isinstance(info, inspect.IntType) else "a number") + _bounds(info)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text" if not info.min_length else "a text that is not empty"
        case inspect.LiteralType():
            return "one of " + ", ".join(toml(value) for value in info.values)
        case inspect.EnumType():
            return "one of " + ", ".join(toml(member.value) for member in info.cls)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return f"a list, each {_allowed(info.item_type)}"
        case inspect.TupleType():
            return "a list of " + " and ".join(_allowed(each) for each in info.item_types)
        case inspect.DictType():
            return f"a table of names, each with {_allowed(info.value_type)}"
        case inspect.UnionType():
            return " or ".join(_allowed(each) for each in info.types if not isinstance(each, inspect.NoneType))
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    """The four bounds as words; the usual pair reads "from ... to ..."."""
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    pairs = (("at least", info.ge), ("above", info.gt), ("at most", info.le), ("below", info.lt))
    words = [f"{word} {bound}" for word, bound in pairs if bound is not None]
    return " " + " and ".join(words) if words else ""
