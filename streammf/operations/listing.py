"""The merged configuration as text: every setting with its value and where that comes from, secrets hidden.

Rules of this file:
1. What is printed is itself a configuration file.
2. No secret leaves here, at any depth, in any format.
"""

from collections.abc import Iterable
from itertools import groupby

from streammf.operations.configuration import Row
from streammf.operations.wording import toml, without_secrets

#: Columns; origins stand below each other up to here.
_WIDTH = 56


def as_toml(rows: Iterable[Row]) -> str:
    """One line a setting, with its origin as a comment."""
    lines: list[str] = []
    for section, settings in groupby(rows, key=lambda row: row.section):
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        for row in settings:
            value = without_secrets(row.key, row.value)
            # TOML has no null: a setting that is not set is shown as what it would look like
            line = f"# {row.key} =" if value is None else f"{row.key} = {toml(value)}"
            lines.append(f"{line:<{_WIDTH}} # {row.origin}")
    return "\n".join(lines)


def as_objects(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, object]]]:
    """Section → key → value and origin."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for row in rows:
        shown = {"value": without_secrets(row.key, row.value), "origin": row.origin}
        found.setdefault(row.section, {})[row.key] = shown
    return found
