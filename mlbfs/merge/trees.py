"""Three-way merge of trees: what of theirs comes into ours, and which paths both changed.

Owns: which paths are decided by ids alone. Layer: merge. Reads trees through a function handed in.

Of each path there are three entries, of base, ours and theirs. Equal sides agree; a side that is as
the base was gives way to the other. Whole folders are entries like any other, so a folder that only
one side changed is taken or left without being read. What is left is read one level further down,
or contested.

Invariants:
  M1. Folders of which two of the three ids are equal are not read: the cost is what differs.
  M2. Laid over ours, the changes give the merged tree, but for the contested paths, which are as
      ours has them.

Concurrency: one thread; pure but for the reading of trees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.git.treediff import differing_entries
from mlbfs.git.trees import MODE_DIRECTORY
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlbfs.git.trees import TreeEntry

ReadTree = Callable[[ObjectId], bytes]
"""Returns a tree as it is stored."""


class Entry(NamedTuple):
    """What a tree has at a path: mode, and the id of a blob, tree or submodule's commit."""

    mode: int
    id: ObjectId

    @property
    def is_folder(self) -> bool:
        """Whether it is a tree."""
        return self.mode == MODE_DIRECTORY


@dataclass(frozen=True, slots=True)
class Change:
    """What a path of ours becomes; None when it goes. A folder is taken whole."""

    path: bytes
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Contest:
    """A file that both sides changed, each in its own way; None where one has none."""

    path: bytes
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


@dataclass(frozen=True, slots=True)
class Clash:
    """A path that is a file on one side and a folder on the other.

    One of them may be there no more when all is merged; what is decided of the file and of what
    lies in the folder comes besides.
    """

    path: bytes
    base: Entry | None
    ours: Entry
    theirs: Entry


@dataclass(frozen=True, slots=True)
class Agreed:
    """A path of the base that both sides changed to the same, or took away.

    What is gone with it may have been moved by one side or both.
    """

    path: bytes
    base: Entry
    entry: Entry | None


Decision = Change | Contest | Clash | Agreed


class Triple(NamedTuple):
    """The entries that the three sides have at one path; None where a side has nothing."""

    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


def merge_trees(
    read: ReadTree, base: ObjectId | None, ours: ObjectId, theirs: ObjectId
) -> Iterator[Decision]:
    """Yields what merging theirs into ours changes, in path order of each folder.

    Args:
        read: Reads a tree.
        base: The tree that both began with; None when there is none.
        ours: The tree that the changes are laid over.
        theirs: The tree that comes in.

    Raises:
        NotFoundError: A tree is missing.
        CorruptionError: A tree is damaged or hostile.
    """
    if theirs not in (base, ours):
        yield from _walk(read, b"", _meet(read, base, ours, theirs))


def merge_path(read: ReadTree, path: bytes, found: Triple) -> Iterator[Decision]:
    """Yields what merging one path of a tree, with everything below it, changes.

    Args:
        read: Reads a tree.
        path: Where it lies.
        found: What the sides have there.

    Raises:
        NotFoundError: A tree is missing.
        CorruptionError: A tree is damaged or hostile.
    """
    if found.theirs != found.base:
        above, slash, name = path.rpartition(b"/")
        yield from _walk(read, above + slash, iter([(name, found)]))


def _walk(
    read: ReadTree, prefix: bytes, names: Iterator[tuple[bytes, Triple]]
) -> Iterator[Decision]:
    # A stack, not recursion: trees may be deeper than the interpreter's limit.
    stack = [(prefix, names)]
    while stack:
        prefix, names = stack[-1]
        for name, found in names:
            path = prefix + name
            yield from _decide(path, found)
            below = _folders_to_read(found)
            if below is not None:
                stack.append((path + b"/", _meet(read, *below)))
                break
        else:
            stack.pop()


def read_tree(read: ReadTree, tree: ObjectId | None) -> bytes:
    """Returns a tree as it is stored; the empty one for no tree.

    Raises:
        NotFoundError: The tree is missing.
        CorruptionError: It is damaged.
    """
    return b"" if tree is None else read(tree)


def _meet(
    read: ReadTree, base: ObjectId | None, ours: ObjectId | None, theirs: ObjectId | None
) -> Iterator[tuple[bytes, Triple]]:
    """Yields the names of a folder that theirs changed, with their entries."""
    origin = read_tree(read, base)
    before, after = differing_entries(origin, read_tree(read, theirs))
    old, new = differing_entries(origin, read_tree(read, ours))
    for name in sorted(before.keys() | after.keys()):
        here = new if name in old or name in new else before
        yield name, Triple(_entry(before, name), _entry(here, name), _entry(after, name))


def _entry(found: dict[bytes, TreeEntry], name: bytes) -> Entry | None:
    entry = found.get(name)
    return None if entry is None else Entry(entry.mode, entry.id)


_Trees = tuple[ObjectId | None, ObjectId | None, ObjectId | None]


def _folders_to_read(found: Triple) -> _Trees | None:
    """Returns the folders that have to be read to decide a path, or None."""
    base, ours, theirs = found
    if ours in (base, theirs):
        return None  # M1
    trees = _tree(base), _tree(ours), _tree(theirs)
    if trees[1] is None and trees[2] is None:
        return None  # both took the folder away, or there was none
    if trees[0] is None and (trees[1] is None or trees[2] is None):
        return None  # a new folder of one side
    return trees


def _tree(entry: Entry | None) -> ObjectId | None:
    return entry.id if entry is not None and entry.is_folder else None


def _leaf(entry: Entry | None) -> Entry | None:
    return None if entry is None or entry.is_folder else entry


def _decide(path: bytes, found: Triple) -> Iterator[Decision]:
    """Yields what is decided of a path without reading what lies below it."""
    base, ours, theirs = found
    if ours == theirs:
        if base is not None:
            yield Agreed(path, base, ours)
        return
    if ours == base:
        yield Change(path, theirs)
        return
    if ours is not None and theirs is not None and ours.is_folder != theirs.is_folder:
        yield Clash(path, base, ours, theirs)
    yield from _decide_folders(path, found)
    yield from _decide_files(path, found)


def _decide_folders(path: bytes, found: Triple) -> Iterator[Decision]:
    """Decides what the folders among three entries come to, unless they have to be read."""
    base, ours, theirs = found
    if base is not None and base.is_folder and _tree(ours) is None and _tree(theirs) is None:
        yield Agreed(path, base, None)
    if _tree(base) is None and _tree(ours) is None and theirs is not None and theirs.is_folder:
        yield Change(path, theirs)


def _decide_files(path: bytes, found: Triple) -> Iterator[Decision]:
    """Decides what the files among three entries come to; a folder is no version of a file."""
    base, ours, theirs = map(_leaf, found)
    if theirs == base:
        return
    if ours == theirs:
        if base is not None:
            yield Agreed(path, base, ours)
    elif ours != base:
        yield Contest(path, base, ours, theirs)
    elif theirs is not None or _tree(found.theirs) is None:
        yield Change(path, theirs)
