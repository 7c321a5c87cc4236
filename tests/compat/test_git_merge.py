"""Tree merges against `git merge-tree`, on random histories of text files.

Git follows renames of similar files and of folders too; both are kept out of it: the former by
contents that have no line in common, the latter by configuration.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from mlbfs.git.commits import Signature
from mlbfs.git.trees import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK
from mlbfs.merge.conflicts import ConflictKind
from mlbfs.merge.versions import Side
from mlbfs.workspace.driverrun import DriverRunner
from mlbfs.workspace.mergebase import MergeBase
from mlbfs.workspace.source import entry_kind
from mlbfs.workspace.testing import Bench
from mlbfs.workspace.treeedit import NewEntry, TreeEdit
from mlbfs.workspace.treemerge import MergeSettings, TreeMerge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlbfs.ids import ObjectId
    from mlbfs.workspace.treemerge import MergedTree

pytestmark = [pytest.mark.git, pytest.mark.slow]

WHO = Signature("Ada Example", "ada@example.com", 1_700_000_000, 0)
PATHS = ["a", "b", "d/a", "d/b", "d/e/a", "f/a", "a/x", "d"]
LINES = 12
OPTIONS = ["-c", "merge.directoryRenames=false"]


class File(NamedTuple):
    """One file of a tree: its lines, and its mode."""

    lines: tuple[str, ...]
    mode: int = MODE_FILE


Tree = dict[str, File]


def new_file(name: str, number: int) -> File:
    """Returns a file that has no line in common with any other."""
    return File(tuple(f"{name} {number} line {line}\n" for line in range(LINES)))


class Change(NamedTuple):
    """One change of a tree: a verb, the paths it is about, and a number that makes it different."""

    verb: str
    path: str
    other: str
    number: int


CHANGES = st.builds(
    Change,
    st.sampled_from(["edit", "edit", "edit", "add", "delete", "move", "chmod", "link"]),
    st.sampled_from(PATHS),
    st.sampled_from(PATHS),
    st.integers(0, LINES - 1),
)
SIDES = st.lists(CHANGES, max_size=5)


def apply(tree: Tree, changes: list[Change], side: str) -> Tree:
    """Returns a tree with changes made to it; a path gives way to what is put above or below it."""
    first, tree, fixed = tree, dict(tree), set[str]()
    for change in changes:
        file = tree.get(change.path)
        match change.verb:
            case "add" if file is None:
                put(tree, change.path, new_file(change.path, change.number % 2))
            case "edit" if file is not None and change.path not in fixed:
                lines = list(file.lines)
                if file.mode != MODE_SYMLINK and change.number < len(lines):
                    lines[change.number] = f"{side} {change.path} {change.number}\n"
                    tree[change.path] = file._replace(lines=tuple(lines))
                    fixed.add(change.path)
            case "delete" if file is not None:
                del tree[change.path]
            case "move" if file is not None and change.path not in fixed:
                del tree[change.path]
                put(tree, change.other, file)
                fixed.add(change.other)
            case "chmod" if file is not None and file.mode == MODE_FILE:
                tree[change.path] = file._replace(mode=MODE_EXECUTABLE)
            case "link" if change.path not in first:  # Git tells a change of type elsewhere
                put(tree, change.path, File((f"to {side} {change.number}",), MODE_SYMLINK))
    return tree


def put(tree: Tree, path: str, file: File) -> None:
    """Puts a file; what is in its way goes."""
    for other in list(tree):
        if other.startswith(path + "/") or path.startswith(other + "/"):
            del tree[other]
    tree[path] = file


class Case:
    """A repository in which trees are made and merged both ways."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root)
        self.root = root

    def commit(self, tree: Tree, *parents: ObjectId) -> ObjectId:
        """Commits a tree and returns the commit."""
        edit = TreeEdit(self.bench.source, None)
        with self.bench.store.writer() as writer, self.bench.git.objects() as objects:
            for path, file in tree.items():
                data = "".join(file.lines).encode()
                entry = NewEntry(entry_kind(file.mode), len(data), objects.put_blob(data))
                edit.put(path.encode(), entry)
            commit = objects.put_commit(
                tree=edit.write(objects, time_ns=0),
                parents=parents,
                author=WHO,
                committer=WHO,
                message="a commit",
            )
            objects.prepare()
            writer.commit(edit.directories)
            objects.commit()
        return commit

    def ours(self, one: ObjectId, other: ObjectId) -> MergedTree:
        """Merges two commits as mlbfs does."""
        settings = MergeSettings(
            {Side.BASE: "base", Side.OURS: one.hex(), Side.THEIRS: other.hex()},
            {Side.OURS: one, Side.THEIRS: other},
        )
        git = self.bench.git
        with (
            DriverRunner(self.bench.store.root) as drivers,
            self.bench.store.writer() as writer,
            git.objects() as objects,
        ):
            base = MergeBase(self.bench.source, drivers).find(one, other)
            merge = TreeMerge(self.bench.source, settings, drivers, writer, objects)
            merged = merge.merge(base, git.read_commit(one).tree, git.read_commit(other).tree)
            objects.commit()
        return merged

    def git_says(self, one: ObjectId, other: ObjectId) -> tuple[ObjectId, set[str]]:
        """Merges them as Git does; returns the tree and the paths in conflict."""
        words = ["merge-tree", "--write-tree", "--allow-unrelated-histories", "-z"]
        done = subprocess.run(
            ["git", "-C", self.root, *OPTIONS, *words, one.hex(), other.hex()],
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr.decode()
        tree, *rows = done.stdout.split(b"\0")
        paths = set()
        for row in rows:
            if not row:
                break
            paths.add(row.split(b"\t", 1)[1].decode())
        self.said = done.stdout
        return bytes.fromhex(tree.decode()), paths


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """One repository for all histories."""
    case = Case(tmp_path_factory.mktemp("merge") / "repository")
    yield case
    case.bench.close()


def check_same(case: Case, one: ObjectId, other: ObjectId) -> None:
    """Checks that both merges come to the same tree, or to the same paths in conflict."""
    tree, conflicted = case.git_says(one, other)
    note(repr(case.said))
    merged = case.ours(one, other)
    note(repr(merged.open_conflicts))
    mine = [
        {path.decode() for path in (found.path, *merged.places.get(found.path, ()))}
        for found in merged.open_conflicts
    ]
    assert bool(conflicted) == bool(mine)
    if not conflicted:
        assert tree == merged.tree
        return
    known = set().union(*mine)
    for found in conflicted:
        assert any(_is_same_place(path, found) for path in known), found
    if any(found.kind is ConflictKind.FILE_FOLDER for found in merged.open_conflicts):
        return  # nothing follows a move into a folder that may have to go; that is told besides
    for places in mine:
        assert any(_is_same_place(path, found) for path in places for found in conflicted), places


def _is_same_place(path: str, found: str) -> bool:
    """Whether Git's path is that path, or below it, or was moved out of the way of a folder."""
    return found == path or found.startswith((path + "~", path + "/"))


BASES = st.sets(st.sampled_from(PATHS))


@given(BASES, SIDES, SIDES)
@settings(max_examples=int(os.environ.get("MLBFS_MERGES", "150")))
def test_merge_is_that_of_git(
    case: Case, base: set[str], one: list[Change], two: list[Change]
) -> None:
    """Two branches of any changes merge to Git's tree, or conflict where Git's do."""
    tree: Tree = {}
    for path in sorted(base):
        put(tree, path, new_file(path, 7))
    root = case.commit(tree)
    ours = case.commit(apply(tree, one, "ours"), root)
    theirs = case.commit(apply(tree, two, "theirs"), root)
    check_same(case, ours, theirs)
