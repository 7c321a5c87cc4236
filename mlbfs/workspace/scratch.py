"""Folders for the files of merge drivers, inside the repository.

They lie with what they are made of, so that a large file needs no room elsewhere and nobody else
reads it. A killed merge leaves its folder; who merges next, and gc, takes it away.

Owns: `.git/mlbfs/scratch`: a folder for each merge under way, with a lock that ends with it.
Layer: workspace.

Concurrency: any number of processes.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, StorageError, storage_error
from mlbfs.store.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "scratch"
_LOCK = "lock"


class Scratch:
    """The folder of one merge; it is made when it is first used. A context manager.

    Args:
        root: `.git/mlbfs`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self._mine: Path | None = None
        self._spare: Path | None = None

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._mine = self._spare = None

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Gives an empty folder for one call of a driver; what it then holds goes with the call.

        Raises:
            StorageError: The device refused.
        """
        made, self._spare = self._spare, None
        try:
            if self._mine is None:
                self._mine = self._make()
            made = made or Path(mkdtemp(dir=self._mine, prefix=""))
        except OSError as err:
            raise storage_error(err, "the scratch folder of a merge") from err
        try:
            yield made
        finally:
            # Most calls leave nothing, and a folder costs more than a look into it.
            self._spare = made if _is_empty(made) else None
            if self._spare is None:
                shutil.rmtree(made, ignore_errors=True)  # what resists goes with the whole folder

    def _make(self) -> Path:
        top = self._root / FOLDER
        top.mkdir(exist_ok=True)
        with FileLock(top / _LOCK, exclusive=True, wait=True):
            _sweep(top)
            made = Path(mkdtemp(dir=top, prefix=""))
            self._stack.callback(shutil.rmtree, made, ignore_errors=True)
            self._stack.enter_context(FileLock(made / _LOCK, exclusive=True))
        return made


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return next(found, None) is None
    except OSError:  # the driver has taken it away
        return False


def remove_scratch(root: Path) -> None:
    """Removes what killed merges have left.

    Args:
        root: `.git/mlbfs`.

    Raises:
        StorageError: The device refused.
    """
    top = root / FOLDER
    if top.is_dir():
        with FileLock(top / _LOCK, exclusive=True, wait=True):
            _sweep(top)


def _sweep(top: Path) -> None:
    """Removes the folders that no merge holds; the caller has the lock of all.

    What cannot be removed keeps nobody from merging: the folder of another user, say.
    """
    for path in list(top.iterdir()):
        try:
            lock = FileLock(path / _LOCK, exclusive=True)
        except (ConflictError, StorageError):
            continue  # of a merge under way; or it goes at this moment, or is no folder of a merge
        with lock:
            shutil.rmtree(path, ignore_errors=True)
