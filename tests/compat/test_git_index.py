"""The index that we encode, read by C Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlbfs.git.indexfile import encode_index, tree_entries
from mlbfs.git.trees import TreeEntry, parse_tree
from mlbfs.ids import ObjectId
from tests.compat.conftest import Git

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.git


def index_of(git: Git, changed: dict[bytes, int]) -> bytes:
    """Returns the index of HEAD in which some files have changed."""

    def read_tree(oid: ObjectId) -> list[TreeEntry]:
        return parse_tree(git.run("cat-file", "tree", oid.hex()).stdout)

    root = ObjectId(bytes.fromhex(git("rev-parse", "HEAD^{tree}")))
    return encode_index(tree_entries(read_tree, root, changed))


def test_git_reads_the_tree_from_it(tmp_path: Path) -> None:
    """C Git finds every file of the tree in the index, and nothing to commit."""
    git = Git(tmp_path)
    git("init", "-q")
    names = ["a", "b-file", "b/below/deep", "b/in b", "b0", "c" * 255, "d/" + "e" * 200 + "/f", "é"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "link").symlink_to("a")
    git("add", ".")
    git("commit", "-qm", "first")
    expected = git("ls-files", "-s")
    for changed in ({}, {b"b/below/deep": 0, b"b0": 1, b"d/" + b"e" * 200 + b"/f": 2**32 - 1}):
        (tmp_path / ".git/index").write_bytes(index_of(git, changed))
        assert git("ls-files", "-s") == expected
        assert git("diff", "--cached", "--name-only") == ""
        # Git takes the word of the index for what has changed: it compares no content.
        told = git("diff-files", "--name-only").splitlines()
        assert sorted(told) == sorted(path.decode() for path in changed)
    assert git("write-tree") == git("rev-parse", "HEAD^{tree}")


def test_checksum_is_true(tmp_path: Path) -> None:
    """C Git's own check of an index finds nothing wrong."""
    git = Git(tmp_path)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "empty")
    (tmp_path / ".git/index").write_bytes(encode_index([]))
    assert git("fsck", "--strict") == ""
    assert git("status", "--porcelain") == ""
