"""Git branches as mounted folders, with content in a deduplicating chunk store.

    import mlbfs

    with mlbfs.open(Path("project")) as repository:
        data = repository.snapshot("v1").read(b"metrics.json")

    with mlbfs.mounted(Path("project"), "main") as folder:
        (folder / "notes.txt").write_text("read and write it like any folder")
        mlbfs.commit(folder, "Take notes")

Owns: which names are public. They are imported when they are first used, so that `import mlbfs`
costs nothing and a command imports only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlbfs.api import commit, init, mounted, open  # noqa: A004 - as in io.open, wave.open
    from mlbfs.errors import MlbfsError
    from mlbfs.git.commits import Commit
    from mlbfs.repository import Author, Repository
    from mlbfs.store.dirindex import DirectoryEntry, EntryKind
    from mlbfs.workspace.diff import Change, ChangeKind
    from mlbfs.workspace.importer import ImportResult, ImportSource
    from mlbfs.workspace.snapshot import Snapshot
    from mlbfs.workspace.source import Reader
    from mlbfs.workspace.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "Author": "mlbfs.repository",
    "Change": "mlbfs.workspace.diff",
    "ChangeKind": "mlbfs.workspace.diff",
    "Commit": "mlbfs.git.commits",
    "DirectoryEntry": "mlbfs.store.dirindex",
    "EntryKind": "mlbfs.store.dirindex",
    "ImportResult": "mlbfs.workspace.importer",
    "ImportSource": "mlbfs.workspace.importer",
    "MlbfsError": "mlbfs.errors",
    "Reader": "mlbfs.workspace.source",
    "Repository": "mlbfs.repository",
    "Snapshot": "mlbfs.workspace.snapshot",
    "Workspace": "mlbfs.workspace.workspace",
    "commit": "mlbfs.api",
    "init": "mlbfs.api",
    "mounted": "mlbfs.api",
    "open": "mlbfs.api",
}
"""Where each public name is defined."""

__all__ = [
    "Author",
    "Change",
    "ChangeKind",
    "Commit",
    "DirectoryEntry",
    "EntryKind",
    "ImportResult",
    "ImportSource",
    "MlbfsError",
    "Reader",
    "Repository",
    "Snapshot",
    "Workspace",
    "__version__",
    "commit",
    "init",
    "mounted",
    "open",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mlbfs' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
