"""Mounting and unmounting, for programs and for the command line.

    with mounted(git_dir, "main") as folder:
        data = (folder / "labels.csv").read_bytes()

Owns: the steps around a daemon: check, clean up what a crash left, start, probe, stop.
Layer: mount. Imports the light modules of this layer only; the daemon is a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, MlbfsError, StorageError
from mlbfs.mount.asking import PATIENCE, ask, check_answers, find_record
from mlbfs.mount.checks import (
    check_fuse,
    check_mount_point,
    check_repository,
    mount_point_reserved,
)
from mlbfs.mount.control import ControlError
from mlbfs.mount.detach import detach
from mlbfs.mount.launch import MountRequest, launch
from mlbfs.mount.live import (
    LiveMount,
    clean_up_stale,
    find_mount,
    is_shown,
    kill,
    list_mounts,
    wait_for_end,
)
from mlbfs.mount.mountinfo import encode_source, mount_at, read_mountinfo
from mlbfs.mount.places import place_of
from mlbfs.mount.registry import (
    MountRecord,
    find_mounts,
    new_mount_id,
    remove_record,
    run_directory,
)
from mlbfs.store.formatfile import read_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LiveMount", "Unmounted", "list_mounts", "mount", "mount_here", "mounted", "unmount"]

PROBE_LIMIT = 60.0
"""Seconds that the first listing of a new mount may take: it may have to index a large folder."""


@dataclass(frozen=True, slots=True)
class Unmounted:
    """What came of an unmount.

    Attributes:
        directory: Where it was mounted.
        record: What was mounted, None if no record was left of it.
        was_stale: The daemon had ended before; the mount point was cleaned up.
        unsaved: Number of changes that wait in the workspace for the next mount; None if unknown.
    """

    directory: Path
    record: MountRecord | None
    was_stale: bool = False
    unsaved: int | None = None


def mount(
    git_dir: Path,
    ref: str | None,
    directory: Path,
    *,
    read_only: bool = False,
    new_workspace: bool = False,
    workspace: str | None = None,
    allow_other: bool | None = None,
    debug: bool = False,
) -> MountRecord:
    """Mounts a branch, tag or commit, and returns once a probe of the mount was answered.

    Args:
        git_dir: Common Git directory of the repository.
        ref: What to mount; None mounts all refs by name, read-only.
        directory: An empty folder.
        read_only: Show a branch as it is now, without a workspace.
        new_workspace: Mount the branch with a workspace beside those in use.
        workspace: Mount the workspace of this name.
        allow_other: Let other users in; None does so when root mounts.
        debug: Write more to the log.

    Raises:
        NotFoundError: The ref or the folder does not exist, or `git_dir` is not of mlbfs.
        FormatVersionError: The repository was made by a newer mlbfs.
        ConflictError: The branch is mounted read-write elsewhere; or the folder is not empty.
        AlreadyExistsError: Something is mounted there.
        UnsupportedError: This machine or user cannot mount; the hint says what is missing.
        StorageError: The daemon did not come up.
    """
    request = prepare(
        git_dir,
        ref,
        directory,
        read_only=read_only,
        new_workspace=new_workspace,
        workspace=workspace,
        allow_other=allow_other,
        debug=debug,
    )
    with mount_point_reserved(request.directory):
        record = launch(request)
    try:
        probe(request)
    except BaseException:  # an interrupt too: who was told of no mount must find none
        _end(record)
        raise
    return record


def mount_here(
    git_dir: Path,
    ref: str | None,
    directory: Path,
    on_ready: Callable[[MountRecord], None],
    *,
    read_only: bool = False,
    new_workspace: bool = False,
    workspace: str | None = None,
    allow_other: bool | None = None,
    debug: bool = False,
) -> None:
    """Mounts and serves in this process until the mount ends (`mlbfs mount --foreground`).

    Ctrl-C unmounts. `on_ready` is called when it is mounted. Nothing of the repository may be
    open in this process. See `mount` for the rest.
    """
    request = prepare(
        git_dir,
        ref,
        directory,
        read_only=read_only,
        new_workspace=new_workspace,
        workspace=workspace,
        allow_other=allow_other,
        debug=debug,
    )
    # Imported late: it takes longer than everything else a command does.
    from mlbfs.mount.daemon import run_daemon

    with contextlib.ExitStack() as reserved:
        reserved.enter_context(mount_point_reserved(request.directory))

        def ready(record: MountRecord) -> None:
            reserved.close()
            on_ready(record)

        run_daemon(request, ready, is_foreground=True)


@contextlib.contextmanager
def mounted(
    git_dir: Path,
    ref: str | None,
    directory: Path | None = None,
    *,
    read_only: bool = False,
) -> Iterator[Path]:
    """Mounts for the length of a `with` block and yields the folder.

    Work on a branch that was not committed stays in its workspace and is there at the next mount.
    Files that are still open at the end (a memory map, say) can be read on; the folder is gone.

    Args:
        git_dir: Common Git directory of the repository.
        ref: Branch, tag or commit; None for all of them by name.
        directory: An empty folder; None makes one and removes it at the end.
        read_only: Show a branch as it is now, without a workspace.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            made = stack.enter_context(_temporary_directory())
            directory = made
        record = mount(git_dir, ref, directory, read_only=read_only)
        place = Path(record.directory)
        try:
            yield place
        finally:
            _leave(place)


def _leave(place: Path) -> None:
    """Unmounts at the end of a block, which may not leave a mount behind."""
    try:
        unmount(place)
    except ConflictError as err:
        if err.kind is not ErrorKind.MOUNT_BUSY:
            raise
        unmount(place, lazy=True)


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    import tempfile  # not above: `mlbfs mount` does without it and starts sooner

    made = Path(tempfile.mkdtemp(prefix="mlbfs-"))
    try:
        yield made
    finally:
        made.rmdir()  # never recursively: if it is still mounted, that would be somebody's data


def prepare(
    git_dir: Path,
    ref: str | None,
    directory: Path,
    *,
    read_only: bool = False,
    new_workspace: bool = False,
    workspace: str | None = None,
    allow_other: bool | None = None,
    debug: bool = False,
) -> MountRequest:
    """Checks all that can be known before a daemon starts; cleans up what a crash has left.

    Nothing is written into a repository that is not ours.
    """
    git_dir = git_dir.resolve()
    read_format(git_dir / "mlbfs")
    check_repository(git_dir / "mlbfs")
    check_fuse()
    clean_up_stale(git_dir)
    directory = place_of(directory)
    if mount_at(read_mountinfo(), directory) is None:  # else it is refused without being touched
        check_answers(directory)
    check_mount_point(directory, git_dir)
    if not new_workspace and workspace is None:
        _check_branch_free(git_dir, ref, read_only=read_only)
    return MountRequest(
        mount_id=new_mount_id(),
        git_dir=git_dir,
        ref=ref,
        directory=directory,
        read_only=read_only,
        new_workspace=new_workspace,
        workspace=workspace,
        allow_other=allow_other,
        debug=debug,
    )


def _check_branch_free(git_dir: Path, ref: str | None, *, read_only: bool) -> None:
    """Refuses a second writable mount of a branch; the lock of the workspace is the last word."""
    if ref is None or read_only:
        return
    branch = ref.removeprefix("refs/heads/")
    for found in find_mounts(run_directory(git_dir)):
        record = found.record
        writes = record.kind == "branch" and not record.read_only
        if found.is_alive and writes and record.ref == branch:
            raise already_mounted(record)


def already_mounted(record: MountRecord) -> ConflictError:
    """Returns the error for a branch that is mounted read-write already."""
    if not is_shown(record, read_mountinfo()):
        return ConflictError(
            f"branch {record.ref!r} is still in use where it was unmounted lazily,"
            f" at {record.directory!r}",
            kind=ErrorKind.ALREADY_MOUNTED,
            hint=f"end the programs that use it, or its daemon with 'kill {record.pid}'",
        )
    return ConflictError(
        f"branch {record.ref!r} is mounted at {record.directory!r} already",
        kind=ErrorKind.ALREADY_MOUNTED,
        hint="work there, or mount it with --read-only, or with a second workspace: "
        "--new-workspace",
    )


def probe(request: MountRequest) -> None:
    """Asks the mount for its root, so that nobody is told of a mount that does not answer.

    Raises:
        StorageError: It does not answer in time, or is not there.
    """
    entry = mount_at(read_mountinfo(), request.directory)
    if entry is None or entry.source != encode_source(request.git_dir):
        raise _not_answering(request, "cannot be seen")
    answers: list[BaseException | None] = []

    def ask() -> None:
        try:
            os.statvfs(request.directory)
            with os.scandir(request.directory) as entries:
                next(entries, None)
            answers.append(None)
        except OSError as err:
            answers.append(err)

    # A thread, because a request to a wedged mount cannot be given up by the one who asks.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_LIMIT)
    if not answers:
        raise _not_answering(request, f"did not answer within {PROBE_LIMIT:.0f} s")
    if answers[0] is not None:
        raise _not_answering(request, f"answers with an error: {answers[0]}")


def _not_answering(request: MountRequest, what: str) -> StorageError:
    log = run_directory(request.git_dir) / f"{request.mount_id}.log"
    return StorageError(
        f"the mount at {str(request.directory)!r} {what}",
        kind=ErrorKind.MOUNT_FAILED,
        hint=f"read its log: {log}",
    )


# Unmounting


def unmount(directory: Path, *, lazy: bool = False) -> Unmounted:
    """Unmounts and waits until the daemon has ended.

    Args:
        directory: Any path in the mount.
        lazy: Take it out of sight even if it is in use: programs keep what they have open, and
            the daemon ends with the last of them. A daemon that does not answer is killed.

    Raises:
        NotFoundError: Nothing of ours is mounted there.
        ConflictError: It is in use (MOUNT_BUSY); the message says by whom.
        ControlError: Its daemon does not answer, and not `lazy`.
    """
    entry = find_mount(directory)
    found = find_record(entry)
    if found is None or not found.is_alive:
        detach(entry.point, lazy=True)
        if found is not None and entry.git_dir is not None:
            remove_record(run_directory(entry.git_dir), found.record)
        return Unmounted(entry.point, None if found is None else found.record, was_stale=True)
    try:
        limit = PATIENCE if lazy else None
        answer, _ = ask(found.record, "stop", {"lazy": lazy}, limit=limit)
    except ControlError:
        if not lazy:
            raise
        detach(entry.point, lazy=True)
        kill(found.record)
        answer = {}
    if not lazy:
        wait_for_end(found.record)
    return Unmounted(entry.point, found.record, unsaved=answer.get("unsaved"))


def _end(record: MountRecord) -> None:
    """Takes down a daemon that came up but does not answer; best effort."""
    with contextlib.suppress(MlbfsError):
        detach(Path(record.directory), lazy=True)
        wait_for_end(record)
