"""Writes docs/cli/ from the commands themselves; `make docs` runs it."""

from __future__ import annotations

from pathlib import Path

from mlbfs.cli.reference import pages

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "cli"


def main() -> None:
    """Writes every page, and removes those of commands that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.md"):
        path.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
