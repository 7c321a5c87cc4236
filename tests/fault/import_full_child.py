"""Imports into a repository on a small device until it is full; run by test_import_full.py.

It runs in a mount namespace of its own, so that the device goes with it. Arguments: a folder to
put the device on, and one for the files to import.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlbfs.errors import StoreFullError
from mlbfs.git.commits import Signature
from mlbfs.repository import Author, Repository
from mlbfs.workspace.importer import parse_source

WHO = Signature("A Tester", "tester@example.org", 1_700_000_000, 0)
AUTHOR = Author(WHO, WHO)
SLACK = 64 * 1024
"""Folders of Git that were made, and the first pages of an index."""


def make_files(folder: Path, number: int) -> None:
    """Writes small texts: they are many objects of Git and many rows of the index."""
    for name in range(number):
        place = folder / str(name // 500)
        place.mkdir(exist_ok=True)
        (place / f"{name}.txt").write_text(f"text number {name} of many\n")


def used(device: Path) -> int:
    """Returns the bytes that are not free on the device."""
    said = subprocess.run(["df", "-B1", "--output=used", device], capture_output=True, check=True)
    return int(said.stdout.split()[-1])


def try_import(repository: Repository, source: Path) -> bool:
    """Returns whether there was room."""
    try:
        repository.import_paths([parse_source(f"{source}/")], "main", author=AUTHOR)
    except StoreFullError:
        return False
    return True


def main(device: Path, source: Path) -> None:
    """Tries with less and less room for an import whose needs are known."""
    make_files(source, 8000)
    for size_kib in range(800, 4000, 200):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", device], check=True
        )
        with Repository.init(device / "repo") as repository:
            before = used(device)
            if try_import(repository, source):
                break
            repository.gc()
            left = used(device) - before
            assert left <= SLACK, f"{left} bytes are not given back with {size_kib} KiB"
            assert repository.branches() == []
        subprocess.run(["umount", device], check=True)
    else:
        raise AssertionError("no device was large enough")
    assert size_kib > 800, "the smallest device was large enough already"
    sys.stdout.write("all is well\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
