"""The scan of a source: order, what is kept, and that nothing is left out in silence."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mlbfs.errors import ErrorKind, InvalidInputError, NotFoundError, StorageError
from mlbfs.store.filestamp import stamp_of
from mlbfs.workspace.importer import ImportSource, check_sources, destination, parse_source
from mlbfs.workspace.scanner import (
    FoundFile,
    FoundSymlink,
    Skipped,
    SkipReason,
    parse_tree_path,
    scan,
)


def _paths(folder: Path, at: bytes = b"") -> list[bytes]:
    return [found.path for found in scan(os.fsencode(folder), at)]


def test_entries_come_depth_first_in_byte_order(tmp_path: Path) -> None:
    """What lies together comes together, names sorted as bytes within each folder."""
    for name in ("b/x", "a/z", "a/B", "a.txt", "a/c/y"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert _paths(tmp_path) == [b"a/B", b"a/c/y", b"a/z", b"a.txt", b"b/x"]


def test_names_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """A name that is not UTF-8 is a name."""
    name = b"nm\xff\xfe"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"1")
    assert list(scan(os.fsencode(tmp_path), b"to")) == [
        FoundFile(
            b"to/" + name,
            os.fsencode(tmp_path) + b"/" + name,
            1,
            stamp_of((tmp_path / os.fsdecode(name)).lstat()),
        )
    ]


def test_symlinks_are_kept_and_never_followed(tmp_path: Path) -> None:
    """A link to a folder is a link, also one that leads nowhere or in a circle."""
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "nowhere").symlink_to("gone/too")
    assert list(scan(os.fsencode(tmp_path), b"")) == [
        FoundSymlink(b"loop", b"."),
        FoundSymlink(b"nowhere", b"gone/too"),
    ]


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    """Pipes, sockets, empty folders and .git in any spelling are skipped by name."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "git~1").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "sock"))
        found = list(scan(os.fsencode(tmp_path), b""))
    assert found == [
        Skipped(b".git", SkipReason.GIT_FOLDER),
        Skipped(b"empty", SkipReason.EMPTY_FOLDER),
        Skipped(b"git~1", SkipReason.REFUSED_NAME),
        Skipped(b"pipe", SkipReason.FIFO),
        Skipped(b"sock", SkipReason.SOCKET),
    ]


def test_a_thousand_folders_deep(tmp_path: Path) -> None:
    """Depth is bounded by the length of a path, not by the stack."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)
    paths = _paths(tmp_path)
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # too deep for pytest to remove
    assert paths == [b"d/" * 1500 + b"f"]


def test_missing_source_is_not_found(tmp_path: Path) -> None:
    """The message names the source."""
    with pytest.raises(NotFoundError, match=r"/nope. does not exist"):
        list(scan(os.fsencode(tmp_path / "nope"), b""))


def test_entry_that_vanishes_during_the_scan(tmp_path: Path) -> None:
    """A folder that was listed and is gone is a changed source, by name."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    found = scan(os.fsencode(tmp_path), b"")
    next(found)
    (tmp_path / "b").rmdir()
    with pytest.raises(StorageError, match="b' vanished") as raised:
        next(found)
    assert raised.value.kind is ErrorKind.SOURCE_CHANGED


@pytest.mark.parametrize(
    ("typed", "name", "contents"),
    [
        ("/d/data", "data", False),
        ("/d/data/", "data", True),
        ("/d/data//", "data", True),
        ("/d/data/.", "data", True),
        ("/d/data/x/..", "data", True),
        (".", None, True),
        ("./", None, True),
    ],
)
def test_trailing_slash_means_the_contents(typed: str, name: str | None, contents: bool) -> None:
    """As in rsync: `data` lands as a folder, `data/` and `.` as what is in it."""
    source = parse_source(typed)
    assert source == ImportSource(Path("/d") / name if name else Path.cwd(), contents)


def test_destination_of_a_source() -> None:
    """A source lands under its own name, its contents in the folder itself."""
    assert destination(ImportSource(Path("/x/data")), b"") == b"data"
    assert destination(ImportSource(Path("/x/data")), b"a/b") == b"a/b/data"
    assert destination(ImportSource(Path("/x/data"), contents=True), b"a/b") == b"a/b"


@pytest.mark.parametrize(
    "path", ["..", "a/../b", ".git", "a/.GIT/b", "git~1", "x" * 256, "a\\.git"]
)
def test_paths_that_a_tree_cannot_hold(path: str) -> None:
    """Such a path is refused before anything is read."""
    with pytest.raises(InvalidInputError):
        parse_tree_path(path)


def test_tree_paths_are_cleaned() -> None:
    """Doubled and trailing slashes and single dots mean nothing."""
    assert [parse_tree_path(p) for p in ("", "/", "a//b/", "./a/./b")] == [b"", b"", b"a/b", b"a/b"]


def test_source_that_overlaps_the_repository_is_refused(tmp_path: Path) -> None:
    """Neither the folder around the repository nor a part of it can be imported."""
    git = tmp_path / "r" / ".git"
    (git / "mlbfs").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "r", git, git / "mlbfs"):
        with pytest.raises(InvalidInputError, match="overlaps the repository"):
            check_sources((ImportSource(place),), forbidden=(git,))
    (tmp_path / "r2").mkdir()
    check_sources((ImportSource(tmp_path / "r2"),), forbidden=(git,))
