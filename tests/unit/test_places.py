"""Where a path leads, without a step into a mount of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlbfs.mount.mountinfo import FILESYSTEM_TYPE, MountEntry, encode_source
from mlbfs.mount.places import place_of


def _mount(point: Path, kind: str = FILESYSTEM_TYPE) -> MountEntry:
    source = encode_source(Path("/repo/.git"))
    return MountEntry(2, 1, "0:99", point, kind, source, ("rw",))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with no link above it."""
    return Path(os.path.realpath(tmp_path))


def test_links_are_followed_outside_of_mounts(root: Path) -> None:
    """As the kernel would: relative and absolute ones, and `..` after a link."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "rel").symlink_to("a/b")
    (root / "abs").symlink_to(root / "rel")
    for name in ("rel", "abs", "abs/", "./a/../abs", "abs/../b", "abs/none/../x"):
        assert place_of(root / name, []) == Path(os.path.realpath(root / name)), name


def test_a_circle_of_links_ends(root: Path) -> None:
    """It is for whoever opens the path to complain."""
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    assert place_of(root / "x", []).parent == root


def test_nothing_in_a_mount_is_looked_at(root: Path) -> None:
    """A link in the mount is not followed; one that leads there is, up to the mount."""
    (root / "mnt").mkdir()
    (root / "mnt" / "link").symlink_to(root)
    (root / "to").symlink_to("mnt/link/below")
    entries = [_mount(root / "mnt")]
    assert place_of(root / "mnt" / "link", entries) == root / "mnt" / "link"
    assert place_of(root / "to", entries) == root / "mnt" / "link" / "below"
    assert place_of(root / "to" / ".." / ".." / ".." / "to", entries).is_relative_to(root / "mnt")
    assert place_of(root / "mnt" / "link", [_mount(root / "mnt", "ext4")]) == root


def test_a_relative_path_is_seen_from_the_working_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every path of a command."""
    monkeypatch.chdir(root)
    assert place_of(Path("a"), []) == root / "a"
    assert place_of(Path(), []) == root
