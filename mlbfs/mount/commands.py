"""What a mount answers on its control socket.

    ping      nothing; that it answers is the answer
    info      what is mounted, where it stands, and whether its branch has moved on
    status    what changed since the base commit; the changes come in pieces
    commit    records the changes; takes a message, who writes and commits, paths and a tag; comes
              to nothing if the client gives up before the commit point
    restore   puts paths back as a commit has them; takes paths, a commit or none for the base
              commit, and whether a savepoint is made before
    switch    goes to another branch; says what was carried over, or what is in the way
    stop      unmounts; says how many changes stay in the workspace

Owns: the commands and their arguments. The forms of values are in `messages`.
Layer: mount.

Concurrency: each command runs in a worker thread (control_server).
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind, InvalidInputError, ReadOnlyError
from mlbfs.git.revisions import RefKind
from mlbfs.ids import ObjectId
from mlbfs.mount.detach import detach
from mlbfs.mount.messages import (
    decode_path,
    decode_signature,
    encode_commit_result,
    encode_path,
    encode_restored,
    encode_status,
)
from mlbfs.mount.registry import find_mounts, run_directory
from mlbfs.mount.savepoint_task import SavepointTask
from mlbfs.workspace.carry import in_the_way

if TYPE_CHECKING:
    from mlbfs.mount.assemble import Assembly
    from mlbfs.mount.control_server import Arguments, Command, Send
    from mlbfs.mount.following import Place
    from mlbfs.mount.registry import MountRecord
    from mlbfs.mount.wire import Json
    from mlbfs.workspace.workspace import Workspace

log = logging.getLogger(__name__)


class Commands:
    """The commands of one mount."""

    def __init__(self, assembly: Assembly, place: Place) -> None:
        self._assembly = assembly
        self._place = place
        self.savepoints: SavepointTask | None = None
        if assembly.workspace is not None:
            self.savepoints = SavepointTask(assembly.workspace, assembly.source)

    @property
    def _record(self) -> MountRecord:
        return self._place.record

    def table(self) -> dict[str, Command]:
        """Returns the commands by name."""
        return {
            "ping": self.ping,
            "info": self.info,
            "status": self.status,
            "commit": self.commit,
            "switch": self.switch,
            "restore": self.restore,
            "stop": self.stop,
        }

    def ping(self, arguments: Arguments, send: Send) -> Json:  # noqa: ARG002
        """Answers."""
        return {"pid": os.getpid()}

    def info(self, arguments: Arguments, send: Send) -> Json:  # noqa: ARG002
        """Tells what is mounted and where it stands.

        `lane` says whether a native lane answers requests; there is none yet.
        """
        return asdict(self._record) | {
            "base": self._base(),
            "tip": self._tip(),
            "shown": self._shown(),
            "behind": self._is_behind(),
            "lane": False,
            "workspace": self._folder(),
        }

    def status(self, arguments: Arguments, send: Send) -> Json:  # noqa: ARG002
        """Tells what changed since the base commit."""
        workspace = self._workspace()
        head, pieces = encode_status(workspace.status())
        for piece in pieces:
            send(piece)
        return head | {"branch": workspace.branch, "base": self._base()}

    def commit(self, arguments: Arguments, send: Send) -> Json:
        """Records the changes; the mount goes on serving meanwhile.

        The workspace keeps its inode numbers, so nothing that the kernel knows becomes wrong.
        """
        try:
            message = str(arguments["message"])
            author = decode_signature(arguments["author"])
            committer = decode_signature(arguments["committer"])
            paths = [decode_path(str(path)) for path in arguments.get("paths", [""])]
            tag = arguments.get("tag")
        except (KeyError, TypeError, ValueError) as err:
            raise InvalidInputError("a commit needs message, author and committer") from err
        try:
            done = self._workspace().commit(
                message,
                author=author,
                committer=committer,
                paths=paths,
                tag=None if tag is None else str(tag),
                check=send.check,
                progress=send.progress,
            )
        finally:
            self._place.note()
        if done.carried_from is not None:
            self._place.notices.flush()
        return encode_commit_result(done)

    def restore(self, arguments: Arguments, send: Send) -> Json:
        """Puts paths back; the kernel knows of it when the answer is sent."""
        workspace = self._workspace()
        try:
            paths = [decode_path(str(path)) for path in arguments["paths"]]
            named = arguments.get("commit")
            commit_id = None if named is None else ObjectId(bytes.fromhex(named))
        except (KeyError, TypeError, ValueError) as err:
            raise InvalidInputError("a restore needs paths, and takes a commit") from err
        git = self._assembly.source.git
        commit = None if commit_id is None else git.read_commit(commit_id)
        send.check()
        done = workspace.restore(paths, source=commit, keep=bool(arguments.get("keep", True)))
        self._place.notices.flush()
        return encode_restored(done)

    def switch(self, arguments: Arguments, send: Send) -> Json:  # noqa: ARG002
        """Goes to another branch; the kernel knows of it when the answer is sent."""
        try:
            name = str(arguments["branch"])
        except KeyError as err:
            raise InvalidInputError("a switch needs a branch") from err
        workspace = self._workspace()
        branch = self._branch(name)
        self._check_mounted_nowhere(branch)
        try:
            moved = workspace.switch(branch)
        finally:
            self._place.note()
        if moved.stale is None:
            raise in_the_way(f"branch {branch!r} has", moved.in_the_way)
        self._place.notices.flush()
        return {
            "commit": self._base(),
            "branch": workspace.branch,
            "carried": [encode_path(path) for path in moved.carried],
        }

    def _branch(self, name: str) -> str:
        """Returns the short name of a branch.

        Raises:
            NotFoundError: Nothing has that name.
            InvalidInputError: It is a tag or a commit.
        """
        source = self._assembly.source
        with source.git_lock:
            found = source.git.resolve(name)
        if found.kind is not RefKind.BRANCH:
            raise InvalidInputError(
                f"{name!r} is no branch, and what is written in a mount belongs to one",
                hint=f"make one there: 'mlbfs switch --create NAME --from {name}'; "
                f"or look at it: 'mlbfs mount {name} DIR'",
            )
        return found.short

    def _check_mounted_nowhere(self, branch: str) -> None:
        """Refuses a branch that another mount writes to, and says where."""
        for found in find_mounts(run_directory(Path(self._record.git_dir))):
            other = found.record
            writes = found.is_alive and bool(other.workspace)
            if writes and other.id != self._record.id and other.ref == branch:
                raise ConflictError(
                    f"branch {branch!r} is mounted at {other.directory!r} already",
                    kind=ErrorKind.ALREADY_MOUNTED,
                    hint=f"work there, or run 'mlbfs umount {other.directory}' first",
                )

    def stop(self, arguments: Arguments, send: Send) -> Json:  # noqa: ARG002
        """Unmounts; refuses while the mount is in use unless `lazy` is set."""
        if self.savepoints is not None:
            self.savepoints.finish()
        unsaved = self._unsaved()
        detach(Path(self._record.directory), lazy=bool(arguments.get("lazy")))
        return {"unsaved": unsaved}

    def _workspace(self) -> Workspace:
        workspace = self._assembly.workspace
        if workspace is None:
            raise ReadOnlyError(
                f"{self._record.directory!r} is mounted read-only",
                kind=ErrorKind.READ_ONLY,
                hint="mount the branch without --read-only",
            )
        return workspace

    def _unsaved(self) -> int | None:
        """Returns how many changes stay in the workspace; None if it cannot tell.

        A workspace that is damaged must not keep its mount from being taken away.
        """
        workspace = self._assembly.workspace
        if workspace is None:
            return 0
        try:
            return len(workspace.status().changes)
        except Exception:
            log.exception("the changes of the workspace cannot be counted")
            return None

    def _folder(self) -> str | None:
        """Returns the name of the workspace's folder."""
        workspace = self._assembly.workspace
        return None if workspace is None else workspace.root.name

    def _base(self) -> str:
        workspace = self._assembly.workspace
        commit = self._assembly.commit if workspace is None else workspace.base
        return "" if commit is None else commit.id.hex()

    def _shown(self) -> list[str]:
        """Returns the commits that something of the mount may still be read from."""
        workspace = self._assembly.workspace
        if workspace is not None:
            return sorted(commit.hex() for commit in workspace.stood)
        base = self._base()
        return [base] if base else []

    def _tip(self) -> str:
        """Returns where the mounted branch is now."""
        if self._record.kind != "branch":
            return self._base()
        source = self._assembly.source
        with source.git_lock:
            tip = source.git.refs.read(f"refs/heads/{self._record.ref}")
        return "" if tip is None else tip.hex()

    def _is_behind(self) -> bool:
        return self._tip() != self._base()
