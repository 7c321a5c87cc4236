"""Where the workspaces of a repository are, and which commits they stand on, without opening them.

Owns: the names of their folders, and looking into them from outside, for gc.
Layer: workspace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote

import apsw

from mlbfs.errors import StorageError
from mlbfs.ids import OBJECT_ID_SIZE, ObjectId

if TYPE_CHECKING:
    from pathlib import Path

_COMMITS = "SELECT value FROM meta WHERE typeof(value) = 'blob'"
"""Every blob among the settings is the id of a commit: the base, and one that is being recorded."""


def workspace_commits(root: Path) -> list[ObjectId] | None:
    """Returns the commits that a workspace needs; None while a process has it open.

    Raises:
        StorageError: The database cannot be read.
    """
    path = root / "overlay.sqlite"
    if not path.exists():
        return []
    try:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            rows = cast("list[tuple[bytes]]", database.execute(_COMMITS).fetchall())
        finally:
            database.close()
    except apsw.BusyError:
        return None
    except apsw.Error as err:
        raise StorageError(f"workspace database {str(path)!r}: {err}") from err
    return [ObjectId(value) for (value,) in rows if len(value) == OBJECT_ID_SIZE]


def workspace_root(store_root: Path, branch: str) -> Path:
    """Returns the folder of the workspace of a branch; `store_root` is `.git/mlbfs`."""
    return store_root / "workspaces" / quote(branch, safe="")


def workspace_branch(root: Path) -> str:
    """Returns the branch of a workspace, by the name of its folder."""
    return unquote(root.name)
