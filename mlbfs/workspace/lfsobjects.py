"""Puts content of the chunk store where a Git LFS client looks for it.

Owns: which files of a snapshot that concerns.
Layer: workspace.

The client reads its own folder only, so a checkout or a clone by path of what mlbfs stored finds no
content there. This is a copy, neither deduplicated nor compressed; `git lfs prune` takes it away.

Concurrency: one thread; others may do the same at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbfs.workspace.exporter import content

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlbfs.ids import FileId
    from mlbfs.workspace.snapshot import Snapshot


@dataclass(slots=True)
class LfsFetched:
    """What became of the files of one or more snapshots that are pointers in Git.

    Attributes:
        files: Distinct contents that were written.
        size: Their length.
        present: Distinct contents that were there.
    """

    files: int = 0
    size: int = 0
    present: int = 0


class LfsFetch:
    """Writes the content of snapshots; contents that several have, once."""

    def __init__(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Starts.

        Args:
            progress: Called with the numbers of contents and bytes that were written.
        """
        self.result = LfsFetched()
        self._progress = progress
        self._seen: set[FileId] = set()

    def run(self, snapshot: Snapshot) -> None:
        """Writes the content of one snapshot.

        Raises:
            NotFoundError: Content is not in this repository.
            CorruptionError: Content is damaged; nothing wrong was written.
            StorageError: The device failed or is full.
        """
        for path, entry in snapshot.walk():
            file_id = entry.file_id
            if file_id is not None and file_id not in self._seen:
                self._seen.add(file_id)
                self._one(snapshot, path, file_id, entry.size)

    def _one(self, snapshot: Snapshot, path: bytes, file_id: FileId, size: int) -> None:
        objects = snapshot.source.git.lfs
        if objects.size(file_id) == size:
            self.result.present += 1
            return
        objects.put(file_id, content(snapshot.open(path), path))
        self.result.files += 1
        self.result.size += size
        if self._progress is not None:
            self._progress(self.result.files, self.result.size)
