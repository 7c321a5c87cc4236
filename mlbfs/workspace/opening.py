"""Opens the folder of a workspace: lock, recovery, and the commit that it stands on.

Owns: which commit an opened workspace stands on.
Layer: workspace.

Concurrency: one thread, which holds the lock file.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mlbfs.errors import NotFoundError, StorageError, StoreFullError
from mlbfs.git.files import sync_directory
from mlbfs.ids import ObjectId
from mlbfs.workspace.clock import now_ns
from mlbfs.workspace.commit import PENDING, PENDING_GENERATION, finish_commit
from mlbfs.workspace.content import Content
from mlbfs.workspace.core import Core
from mlbfs.workspace.datafiles import DataFiles
from mlbfs.workspace.dirty import collect_items, standing_folders
from mlbfs.workspace.inodes import ROOT_INODE
from mlbfs.workspace.overlay import DatabaseError, Overlay
from mlbfs.workspace.recovery import (
    Rebase,
    Recovery,
    drop_unnamed,
    has_lone_folders,
    is_dirty,
    recover,
)
from mlbfs.workspace.reserve import Reserve
from mlbfs.workspace.rows import Node
from mlbfs.workspace.snapshot import NS_PER_S, Snapshot
from mlbfs.workspace.status import StatusReader
from mlbfs.workspace.tagging import PENDING_TAG, catch_up_on_tag
from mlbfs.workspace.vfs_errors import storage_errors

if TYPE_CHECKING:
    from pathlib import Path

    from mlbfs.git.commits import Commit
    from mlbfs.workspace.source import SnapshotSource

Owner = tuple[int | None, int | None]
"""User and group that snapshot files show; None stands for those of this process."""


class Opened(NamedTuple):
    """An opened folder."""

    core: Core
    base: Commit
    recovery: Recovery


def open_core(root: Path, source: SnapshotSource, head: Commit, owner: Owner) -> Opened:
    """Opens the database and the data files, recovers, and settles on a commit.

    Raises:
        StorageError: The device refused, or the database is damaged.
    """
    reserve = Reserve(root / "reserve")
    try:
        opened = _open_folder(root, reserve, source, head, owner)
    except StoreFullError:
        if not reserve.release():
            raise
        opened = _open_folder(root, reserve, source, head, owner)
    reserve.fill()
    return opened


def _open_folder(
    root: Path, reserve: Reserve, source: SnapshotSource, head: Commit, owner: Owner
) -> Opened:
    overlay = Overlay(root / "overlay.sqlite")
    data = None
    try:
        with storage_errors(f"workspace {str(root)!r}"):
            data = DataFiles(root / "data")
            return _open_parts((overlay, data, reserve), source, head, owner)
    except DatabaseError as err:
        _close(overlay, data)
        raise StorageError(f"workspace database in {str(root)!r}: {err}") from err
    except BaseException:
        _close(overlay, data)
        raise


def _close(overlay: Overlay, data: DataFiles | None) -> None:
    overlay.close()
    if data is not None:
        data.close()


def _open_parts(
    parts: tuple[Overlay, DataFiles, Reserve], source: SnapshotSource, head: Commit, owner: Owner
) -> Opened:
    overlay, data, _ = parts
    recovery = recover(overlay, data)
    base = _settle_base(overlay, source, head, recovery)
    catch_up_on_tag(overlay, source.git)
    _rest_on_commits(overlay, data, source)
    if not recovery.clean:
        # Bytes may have changed, or got lost, without the row that says so.
        overlay.forget_contents()
    core = _core_of(source, parts, base, owner)
    if base.id != head.id:
        unchanged = not _has_changes(core, base) and not _has_ignored(core)
        if unchanged or _can_carry(core, base, head):
            base = _follow(core, head, unchanged=unchanged)
            core = _core_of(source, parts, base, owner)
    drop_unnamed(overlay, data)
    return Opened(core, base, recovery)


def _core_of(
    source: SnapshotSource, parts: tuple[Overlay, DataFiles, Reserve], base: Commit, owner: Owner
) -> Core:
    uid, gid = owner
    core = Core(
        source,
        *parts,
        time_ns=base.committer.time * NS_PER_S,
        uid=os.geteuid() if uid is None else uid,
        gid=os.getegid() if gid is None else gid,
    )
    _settle_root(core, base)
    return core


def _settle_base(
    overlay: Overlay, source: SnapshotSource, head: Commit, recovery: Recovery
) -> Commit:
    """Decides which commit the workspace stands on, and puts its rows there.

    In one transaction: rows that a commit could not take are told by what they were before.
    """
    with overlay.transaction():
        found = _settle_pending(overlay, source, head)
        stored = overlay.get("base")
        recovery.commit = stored if found and isinstance(stored, bytes) else None
        overlay.set("open", 1)
        # A commit that was found here had no time to say what it could not take.
        if not isinstance(stored, bytes) or not (found or is_dirty(overlay)):
            index = partial(source.directory, time_ns=head.committer.time * NS_PER_S)
            if has_lone_folders(overlay, index, head.tree):
                Rebase(overlay, index, head.tree, unchanged=True).run()
            else:
                overlay.clear_tree()
            overlay.set("base", head.id)
            return head
        base = _read_base(source, ObjectId(stored))
        time_ns = base.committer.time * NS_PER_S
        index = partial(source.directory, time_ns=time_ns)
        Rebase(overlay, index, base.tree, untold=found).run()
    return base


def _rest_on_commits(overlay: Overlay, data: DataFiles, source: SnapshotSource) -> None:
    """Lets files read from the store that a commit has recorded, and that were only moved since.

    The commit is durable; their data files may not be.
    """
    committed = overlay.get_int("committed", 0)
    with overlay.transaction():
        for node in overlay.nodes("data>0 AND content IS NOT NULL AND gen<=?", committed):
            assert node.content is not None, "the condition says so"
            try:
                size = source.open_content(node.content).size
            except NotFoundError:  # fsck tells of that; here the bytes may still be
                continue
            seen = data.stat((node.ino, node.data))
            node.atime, node.mtime = seen.st_atime_ns, seen.st_mtime_ns
            node.base, node.base_size, node.data = node.content, size, 0
            overlay.clip_extents(node.ino, 0)
            overlay.update_node(node)


def _read_base(source: SnapshotSource, commit_id: ObjectId) -> Commit:
    try:
        return source.git.read_commit(commit_id)
    except NotFoundError as err:
        raise NotFoundError(
            f"commit {commit_id.hex()}, which uncommitted changes stand on, does not exist",
            kind=err.kind,
            hint="fetch it into this repository",
        ) from err


def _has_changes(core: Core, base: Commit) -> bool:
    """Returns whether a commit would have anything to record."""
    status = StatusReader(core, Content(core)).read(Snapshot(core.source, base))
    return not status.is_clean


def _has_ignored(core: Core) -> bool:
    """Returns whether there is something that no commit takes and that must not be lost."""
    with core.reading():
        return any(item.ignored for item in collect_items(core))


def _can_carry(core: Core, base: Commit, head: Commit) -> bool:
    """Returns whether the changes can stand on another commit as they are.

    They can if that commit has, at every path that changed here, what the base has there, and if
    it has the folders that they lie in.
    """
    old, new = Snapshot(core.source, base), Snapshot(core.source, head)
    for item in collect_items(core):
        if not item.inside and old.get(item.path) != new.get(item.path):
            return False
    for path in standing_folders(core):
        after = new.get(path)
        gone = after is None or not after.is_directory
        if gone and (before := old.get(path)) is not None and before.is_directory:
            return False
    return True


def _follow(core: Core, head: Commit, *, unchanged: bool) -> Commit:
    """Puts a workspace on another commit, with what changed in it."""
    time_ns = head.committer.time * NS_PER_S
    index = partial(core.source.directory, time_ns=time_ns)
    with core.overlay.transaction():
        Rebase(core.overlay, index, head.tree, unchanged=unchanged).run()
        core.overlay.set("base", head.id)
    return head


def _settle_pending(overlay: Overlay, source: SnapshotSource, head: Commit) -> bool:
    """Finishes a commit that was killed, if the branch has it (C1); returns whether it has."""
    pending = overlay.get(PENDING)
    if not isinstance(pending, bytes):
        return False
    commit_id = ObjectId(pending)
    if commit_id != head.id and not source.git.is_ancestor(commit_id, head.id):
        overlay.delete(PENDING)
        overlay.delete(PENDING_TAG)
        return False
    finish_commit(overlay, commit_id, overlay.get_int(PENDING_GENERATION, 0))
    return True


def _settle_root(core: Core, base: Commit) -> None:
    """Makes the row of the root, which every workspace has."""
    if core.overlay.node(ROOT_INODE) is not None:
        return
    now = now_ns()
    node = Node(
        *(ROOT_INODE, stat.S_IFDIR | 0o755, 1, core.uid, core.gid, 0),
        *(core.time_ns, core.time_ns, now, 0),
        parent=ROOT_INODE,
        base=base.tree,
    )
    with core.overlay.transaction():
        core.overlay.insert_node(node)


def make_durable(root: Path) -> None:
    """Makes the folder of a workspace, if there is none, with a name that a power cut keeps."""
    missing = [path for path in (root, *root.parents) if not path.is_dir()]
    root.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_directory(path.parent)
