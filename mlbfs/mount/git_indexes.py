"""The indexes that a Git view has made for those who asked, until the kernel forgets them.

Owns: the numbers and lookup counts of indexes.
Layer: mount. Imports git and workspace.

An index is made when it is looked up, and stays as it is: each reader finds the one that was made
for its question, whatever others ask for or change meanwhile. Equal ones are kept once.

Concurrency: safe from several threads; Git is read under the source's lock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.git.indexfile import encode_index, tree_entries
from mlbfs.workspace.diff import ChangeKind
from mlbfs.workspace.vfs_errors import Stale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlbfs.git.trees import TreeEntry
    from mlbfs.ids import ObjectId
    from mlbfs.workspace.report import Status
    from mlbfs.workspace.source import SnapshotSource


@dataclass(slots=True)
class _Made:
    data: bytes
    lookups: int = 0


class Indexes:
    """The indexes of one Git view; their numbers begin at 1."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._made: dict[int, _Made] = {}
        self._numbers: dict[bytes, int] = {}
        self._last = 0

    def make(self, commit: ObjectId, changed: Mapping[bytes, int]) -> int:
        """Makes the index of a commit, in which some files have changed, and counts a lookup."""
        data = self._encode(commit, changed)
        with self._lock:
            number = self._numbers.get(data)
            if number is None:
                number = self._last = self._last + 1
                self._numbers[data] = number
                self._made[number] = _Made(data)
            self._made[number].lookups += 1
            return number

    def _encode(self, commit: ObjectId, changed: Mapping[bytes, int]) -> bytes:
        with self._source.git_lock:
            tree = self._source.git.read_commit(commit).tree
        return encode_index(tree_entries(self._read_tree, tree, changed))

    def _read_tree(self, tree: ObjectId) -> list[TreeEntry]:
        with self._source.git_lock:  # for one object: others wait
            return self._source.git.read_tree(tree)

    def content(self, number: int) -> bytes:
        """Returns an index.

        Raises:
            Stale: There is none of that number (any more).
        """
        found = self._made.get(number)
        if found is None:
            raise Stale(number)
        return found.data

    def forget(self, number: int, count: int) -> None:
        """Takes lookups back; an index goes with the last of them."""
        with self._lock:
            found = self._made.get(number)
            if found is None:
                return
            found.lookups -= count
            if found.lookups <= 0:
                del self._made[number]
                del self._numbers[found.data]


def changed_lengths(status: Status, *, heeds_modes: bool) -> dict[bytes, int]:
    """Returns the present length of each file that the commit has and that has changed.

    Args:
        status: What changed; a pipe or device in the place of a file is a change too, to Git.
        heeds_modes: Whether the execute bit counts (`core.fileMode`).
    """
    lengths = dict.fromkeys(status.special, 0)
    for change in status.changes:
        is_mode_alone = change.kind is ChangeKind.MODE_CHANGED
        if change.old is not None and (heeds_modes or not is_mode_alone):
            lengths[change.path] = 0 if change.new is None else change.new.size
    return lengths
