"""docs/semantics.md and the tests name each other: no promise without a test, no stray number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "semantics.md"


def promises() -> list[str]:
    """Returns the numbers of the page, in its order."""
    return re.findall(r"^- \*\*(S[0-9]+)\*\*", PAGE.read_text(), re.MULTILINE)


def cited() -> dict[str, set[str]]:
    """Returns the tests that name each number in their docstrings."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.get_docstring(node) or ""
                for group in re.findall(r"\((S[0-9]+(?:,\s+S[0-9]+)*)\)", text):
                    for number in re.split(r",\s+", group):
                        found.setdefault(number, set()).add(f"{path.name}::{node.name}")
    return found


def test_numbers_stand_once_and_in_order() -> None:
    """A number means one sentence for ever."""
    numbers = [int(number[1:]) for number in promises()]
    assert numbers == sorted(set(numbers))


def test_each_promise_has_a_test() -> None:
    """What no test names is not promised."""
    known = cited()
    assert [number for number in promises() if number not in known] == []


def test_each_citation_means_a_promise() -> None:
    """A test that names a number which is gone is found."""
    known = set(promises())
    assert {number: tests for number, tests in cited().items() if number not in known} == {}


def test_each_exception_of_the_conformance_suite_is_on_the_page() -> None:
    """What may differ from ext4 is said where users read."""
    table = (ROOT / "tests" / "conformance" / "exceptions.py").read_text()
    named = set(re.findall(r'"(S[0-9]+)"', table))
    assert named
    assert named <= set(promises())
