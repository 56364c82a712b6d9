"""The table of faults in deploy/README.md names tests; each of them is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "deploy" / "README.md").read_text().split("\n## Faults\n")[1].split("\n## ")[0]
ROWS = [line.strip("|").split(" | ") for line in SECTION.splitlines() if line.startswith("| ")][1:]


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_an_answer_and_a_test() -> None:
    assert len(ROWS) >= 20
    assert not [row for row in ROWS if len(row) != 3 or not all(cell.strip() for cell in row) or "::test_" not in row[2]]


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECTION)
    assert len(named) == SECTION.count("::")
    assert not [f"{path}::{name}" for path, name in named if name not in functions(ROOT / path)]
