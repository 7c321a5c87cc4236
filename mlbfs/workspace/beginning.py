"""What a branch without history begins with: the `.gitattributes` of the repository.

Owns: the file `.git/mlbfs/gitattributes`, and where it is copied to. It belongs to the user once it
is written: it may be changed or deleted, and nothing is ever written over it.
Layer: workspace.

Durability: each file is durable when it is there.
Concurrency: one thread; two of them may both find a file missing, and then write the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.errors import storage_error
from mlbfs.git.attributes import FILE_NAME
from mlbfs.git.files import replace_file
from mlbfs.git.objects import object_id
from mlbfs.merge.defaultattributes import DEFAULT_ATTRIBUTES
from mlbfs.store.dirindex import DirectoryEntry, EntryKind
from mlbfs.workspace.grafting import Row

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.git.objects import ObjectWriter
    from mlbfs.git.repository import GitRepository
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.grafting import TreeWriter

TEMPLATE_NAME = "gitattributes"
"""In `.git/mlbfs`; without a dot, so that Git does not take it for one of a work tree there."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Where the default attributes went.

    Attributes:
        template: What new branches begin with.
        made: Whether it was not there before.
        work_tree: The `.gitattributes` of the work tree of Git; None if there is no work tree.
        written: Whether it was written, and is now to be committed; else it was there before.
    """

    template: Path
    made: bool
    work_tree: Path | None = None
    written: bool = False


def offer_attributes(git: GitRepository, store_root: Path) -> Offered:
    """Writes the default attributes for new branches, and into a work tree that has none.

    What is there already stays as it is. Nothing is committed.

    Args:
        git: The repository.
        store_root: `.git/mlbfs`.

    Raises:
        StorageError: The device refused.
    """
    template = store_root / TEMPLATE_NAME
    made = _write_new(template)
    if git.work_tree is None:
        return Offered(template, made)
    place = git.work_tree / os.fsdecode(FILE_NAME)
    written = not _is_committed(git) and _write_new(place)
    return Offered(template, made, place, written)


def first_attributes(store_root: Path) -> bytes | None:
    """Returns the `.gitattributes` that new branches begin with, or None for none.

    Raises:
        StorageError: It cannot be read.
    """
    path = store_root / TEMPLATE_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise storage_error(err, f"reading {str(path)!r}") from err


def still_begins_with(git: GitRepository, tree: ObjectId, attributes: bytes) -> bool:
    """Returns whether a tree has these attributes at its root, unchanged."""
    entry = git.find_entry(tree, FILE_NAME)
    return entry is not None and entry.id == object_id("blob", attributes)


def with_attributes(
    trees: TreeWriter, top: ObjectId, attributes: bytes, objects: ObjectWriter
) -> ObjectId:
    """Returns a tree made by `trees` with `.gitattributes` beside what it has at its root.

    One that has something of that name stays as it is.
    """
    rows = trees.rows(top)
    assert rows is not None, "it was made here"
    found = {row.entry.name: row for row in rows}
    if FILE_NAME in found:
        return top
    blob = objects.put_blob(attributes)
    entry = DirectoryEntry(FILE_NAME, EntryKind.FILE, len(attributes), bytes(blob))
    return trees.write([*found.values(), Row(entry, blob)])


def _is_committed(git: GitRepository) -> bool:
    """Returns whether HEAD has a `.gitattributes`, that the work tree may leave out for now."""
    head = git.refs.read("HEAD")
    if head is None:
        return False
    return git.find_entry(git.read_commit(head).tree, FILE_NAME) is not None


def _write_new(path: Path) -> bool:
    """Writes the defaults to a path that has nothing; returns whether it did."""
    if os.path.lexists(path):
        return False
    replace_file(path, DEFAULT_ATTRIBUTES)
    return True
