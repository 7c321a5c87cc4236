"""The workspaces of a repository, seen from outside: which there are, and whose they are.

A workspace has a name, that of its folder, and belongs to a branch. The first workspace of a branch
is named after it; others get a number (`main@2`), and so does one whose name is taken. A workspace
that was switched to another branch keeps its name. A folder whose branch may not be its name holds
a file `branch`; what its database says counts, and for one that is open, its lock file.

Owns: names of folders, and looking into them without opening them.
Layer: workspace.

Concurrency: who decides by what is found here holds `claims`, so that no two do so at once.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote

import apsw

from mlbfs.errors import ConflictError, ErrorKind, NotFoundError, StorageError, storage_error
from mlbfs.ids import OBJECT_ID_SIZE, ObjectId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BRANCH = "branch"
"""Setting: the branch that the workspace belongs to, if it is not what its folder is named."""

CLAIM_LIMIT = 30.0
"""Seconds to wait for somebody who is choosing a workspace, which takes milliseconds."""

_META = "SELECT key, value FROM meta"
_DIRTY = """SELECT EXISTS(SELECT 1 FROM entry WHERE gen > :gen)
    OR EXISTS(SELECT 1 FROM inode WHERE gen > :gen)"""


@dataclass(frozen=True, slots=True)
class KeptWorkspace:
    """One workspace.

    Attributes:
        root: Its folder.
        branch: The branch that it belongs to.
        commits: The commits that it needs; none while it is open, or new.
        base: The commit that it stands on; None while it is open, or new.
        holder: Process that has it open, 0 if none has.
        is_dirty: Whether it holds, or may hold after a kill, what no commit has; False while it is
            open.
    """

    root: Path
    branch: str
    commits: tuple[ObjectId, ...] = ()
    base: ObjectId | None = None
    holder: int = 0
    is_dirty: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.root.name


def workspaces_folder(store_root: Path) -> Path:
    """Returns the folder of all workspaces; `store_root` is `.git/mlbfs`."""
    return store_root / "workspaces"


def list_workspaces(store_root: Path) -> list[KeptWorkspace]:
    """Returns all workspaces, by name.

    Raises:
        StorageError: The database of one cannot be read.
    """
    folder = workspaces_folder(store_root)
    try:
        found = (
            sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        )
        return [inspect_workspace(root) for root in found]
    except OSError as err:
        raise storage_error(err, "looking into the workspaces") from err


def inspect_workspace(root: Path) -> KeptWorkspace:
    """Returns what can be told of a workspace.

    Raises:
        StorageError: Its database cannot be read.
    """
    held = _holder(root)
    if held is not None:
        holder, branch = held
        return KeptWorkspace(root, branch or _named_branch(root), holder=holder)
    path = root / "overlay.sqlite"
    if not path.exists():
        return KeptWorkspace(root, _named_branch(root))
    try:
        return _read(root, path)
    except apsw.BusyError:  # opened since
        return KeptWorkspace(root, _named_branch(root), holder=-1)
    except apsw.Error as err:
        raise StorageError(f"workspace database {str(path)!r}: {err}") from err


def _read(root: Path, path: Path) -> KeptWorkspace:
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        # Without it SQLite makes a file beside the log, which a full device has no room for.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        rows = cast("list[tuple[str, object]]", database.execute(_META).fetchall())
        meta = dict(rows)
        # After a kill the journal may have more than the rows: then it is taken to hold work.
        dirty = bool(meta.get("open")) or database.execute(
            _DIRTY, {"gen": meta.get("committed", 0)}
        ).fetchone() == (1,)
    finally:
        database.close()
    # Every blob among the settings is the id of a commit: the base, and one being recorded.
    commits = tuple(
        ObjectId(value)
        for value in meta.values()
        if isinstance(value, bytes) and len(value) == OBJECT_ID_SIZE
    )
    base, branch = meta.get("base"), meta.get(BRANCH)
    return KeptWorkspace(
        root,
        branch if isinstance(branch, str) else _named_branch(root),
        commits,
        ObjectId(base) if isinstance(base, bytes) else None,
        is_dirty=dirty,
    )


def _named_branch(root: Path) -> str:
    """Returns the branch that a folder was made for."""
    with suppress(FileNotFoundError):
        return (root / "branch").read_text("utf-8", "surrogateescape").strip()
    return unquote(root.name)


# Whose it is


def take_lock(root: Path, branch: str) -> int:
    """Returns a descriptor that holds the lock of a workspace.

    Raises:
        ConflictError: Another process has it (LOCKED).
        OSError: The device refused.
    """
    path = root / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, root)
        note_branch(fd, branch)
    except BaseException:
        os.close(fd)  # it may hold the lock
        raise
    return fd


def _lock(fd: int, root: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConflictError(
            f"the workspace in {str(root)!r} is in use by process "
            f"{_parse_lock(fd)[0] or 'unknown'}",
            kind=ErrorKind.LOCKED,
            hint="use that mount, or unmount it first",
        ) from None


def note_branch(lock: int, branch: str) -> None:
    """Writes into the lock file which branch the workspace belongs to while it is open."""
    data = f"{os.getpid()}\n{branch}\n".encode("utf-8", "surrogateescape")
    os.pwrite(lock, data, 0)
    os.ftruncate(lock, len(data))


def _holder(root: Path) -> tuple[int, str] | None:
    """Returns process and branch of whoever has a workspace open; None if nobody has."""
    try:
        fd = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parse_lock(fd)
    else:
        return None
    finally:
        os.close(fd)


def _parse_lock(fd: int) -> tuple[int, str]:
    lines = os.pread(fd, 4096, 0).decode("utf-8", "surrogateescape").splitlines()
    process = lines[0].strip() if lines else ""
    return int(process) if process.isdecimal() else -1, lines[1] if len(lines) > 1 else ""


@contextmanager
def claims(store_root: Path) -> Iterator[None]:
    """Keeps others from choosing a workspace.

    Raises:
        ConflictError: Somebody has been choosing for long (LOCKED).
        StorageError: The lock file cannot be made.
    """
    path = store_root / "workspaces.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise storage_error(err, f"locking {str(path)!r}") from err
    try:
        deadline = time.monotonic() + CLAIM_LIMIT
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConflictError(
                        "another process has been opening a workspace for long",
                        hint="wait until it has ended",
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(fd)


def choose_workspace(
    store_root: Path, branch: str, *, name: str | None = None, new: bool = False
) -> Path:
    """Returns the folder of the workspace to open for a branch; the caller holds `claims`.

    Without `name` and `new` it is the one workspace of the branch; of several that are not open,
    one that holds work, before the one that is named after the branch. If one is open, it is that
    one, so that opening it says who has it.

    Args:
        store_root: `.git/mlbfs`.
        branch: Short name.
        name: Name of a workspace of the branch.
        new: Another one than those that are open or hold work.

    Raises:
        NotFoundError: The branch has no workspace of that name (WORKSPACE_NOT_FOUND).
    """
    mine = [found for found in list_workspaces(store_root) if found.branch == branch]
    if name is not None:
        for found in mine:
            if found.name == name:
                return found.root
        raise NotFoundError(
            f"branch {branch!r} has no workspace {name!r}",
            kind=ErrorKind.WORKSPACE_NOT_FOUND,
            hint="'mlbfs workspaces' lists them",
        )
    if new:
        mine = [found for found in mine if not found.holder and not found.is_dirty]
    first = quote(branch, safe="")
    mine.sort(key=lambda found: (not found.holder, not found.is_dirty, found.name != first))
    return mine[0].root if mine else _new_folder(store_root, branch)


def _new_folder(store_root: Path, branch: str) -> Path:
    """Returns the folder for another workspace of a branch."""
    folder = workspaces_folder(store_root)
    first = folder / quote(branch, safe="")
    if not first.exists():
        return first
    number = 2
    while (root := folder / f"{first.name}@{number}").exists():
        number += 1
    return root


def mark_folder(root: Path, branch: str) -> None:
    """Notes that a folder may belong to another branch than its name says."""
    path = root / "branch"
    if not path.exists():
        path.write_text(branch + "\n", "utf-8", "surrogateescape")
