"""The command reference in docs/cli/ is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

from mlbfs.cli.reference import pages

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "cli"


def test_reference_is_up_to_date() -> None:
    """`make docs` writes it again."""
    written = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    assert written == pages()
