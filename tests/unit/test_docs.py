"""The documentation names only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")
_MODULE = re.compile(r"`((?:[a-z_]+/)+[a-z_]+\.py)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file or folder of the project."""
    for target in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_exist(page: Path) -> None:
    """A path of a module, from the root or from the package, is right."""
    for name in _MODULE.findall(page.read_text()):
        assert (ROOT / name).exists() or (ROOT / "mlbfs" / name).exists(), name


def test_every_decision_is_listed() -> None:
    """The index names each page once, with its title."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "index.md").read_text()
    for page in sorted(folder.glob("0*.md")):
        title = page.read_text().partition("\n")[0].removeprefix("# ")
        assert f"- [{title}]({page.name})\n" in index
