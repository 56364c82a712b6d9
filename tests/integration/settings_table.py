"""The table of all settings for people to read: names, defaults and the docstring that stands under each field.

Rules of this file:
1. Nothing is written twice: the code is the only place where a setting is described.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise

import msgspec

from streammf.operations.configuration import SECTIONS
from streammf.operations.wording import toml


def rows() -> Iterator[str]:
    """A line of Markdown for every setting: name, default as TOML has it, meaning."""
    for section, kinds in SECTIONS.items():
        if "" not in kinds:
            yield f"| `{section}.kind` | `{toml(next(iter(kinds)))}` | One of {', '.join(f'`{kind}`' for kind in kinds)}. |"
        for kind, home in kinds.items():
            module, _, name = home.partition(":")
            options: type[msgspec.Struct] = getattr(import_module(module), name)
            meanings = described(options)
            where = f" ({kind})" if kind else ""
            for key, value in msgspec.to_builtins(options()).items():
                yield f"| `{section}.{key}`{where} | `{toml(value)}` | {meanings[key]} |"


def described(options: type[msgspec.Struct]) -> dict[str, str]:
    """Field → its docstring, on one line."""
    bases = [base for base in options.__bases__ if base is not msgspec.Struct]
    body = next(node for node in ast.parse(inspect.getsource(options)).body if isinstance(node, ast.ClassDef)).body
    found = {field: text for base in bases for field, text in described(base).items()}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found
