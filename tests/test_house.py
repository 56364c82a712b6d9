"""The house as it must look: sizes, floors, and nothing that belongs to one machine. Each rule says what to do about it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = [p for room in ("streammf", "tests", "scripts") for p in sorted((ROOT / room).rglob("*.py"))]
TEXTS = [
    p
    for p in sorted(ROOT.rglob("*"))
    if p.is_file()
    and (p.suffix in {".py", ".md", ".toml", ".yml", ".json"} or p.parent.name in {"scripts", ".ci"})
    and not any(part.startswith(".") and part != ".ci" for part in p.relative_to(ROOT).parts)
]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in PYTHON if (n := p.read_text().count("\n")) > 400}
    assert not long, f"split by idea: {long}"


def test_no_function_is_longer_than_50_lines() -> None:
    long = [
        f"{p.relative_to(ROOT)}:{node.lineno} {node.name}"
        for p in PYTHON
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 50
    ]
    assert not long, f"name the steps: {long}"


def test_every_file_of_the_package_opens_with_its_rules() -> None:
    bare = [
        str(p.relative_to(ROOT))
        for p in PYTHON
        if p.is_relative_to(ROOT / "streammf") and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert not bare


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "helpers", "common", "misc", "types", "constants", "metrics", "manager", "base", "core"}
    assert not [str(p) for p in PYTHON if p.stem in drawers]


@pytest.mark.parametrize("pattern", [r"/(?:work|root|farm)/", r"/tmp/(?!\.\.\.)\w"])
def test_no_text_names_a_path_of_one_machine(pattern: str) -> None:
    found = [
        str(p.relative_to(ROOT)) for p in TEXTS if p != Path(__file__) and re.search(pattern, p.read_text(errors="ignore"))
    ]
    assert not found


def test_no_test_sleeps_for_luck() -> None:
    """A sleep inside a loop that waits on a condition with a deadline is fine; those live in `tests/waiting.py` alone."""
    sleepy = [
        str(p.relative_to(ROOT))
        for p in PYTHON
        if p.is_relative_to(ROOT / "tests") and p.name not in {"waiting.py", "test_house.py"} and "time.sleep(" in p.read_text()
    ]
    assert not sleepy


def test_nothing_big_or_derived_from_real_logs_is_tracked() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = [ROOT / line for line in listed.stdout.splitlines()]
    assert not [str(p) for p in tracked if p.exists() and (p.stat().st_size > 300_000 or p.suffix in {".gz", ".mdb", ".csv"})]
