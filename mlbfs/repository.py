"""The one facade for programs: a repository with its branches, snapshots and workspaces.

Owns: which layers make up an open repository, and the operations that need more than one of them.
Layer: facade. Imports workspace, git and store; never the mount, the terminal or the environment.

Concurrency: methods are synchronous and safe from worker threads. An open repository must not be
carried across `fork`; open it again in the child.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from mlbfs.errors import AlreadyExistsError, ConflictError, ErrorKind, NotFoundError
from mlbfs.git.discovery import locate
from mlbfs.git.names import check_branch_name, check_tag_name
from mlbfs.git.refs import RefMovedError
from mlbfs.git.repository import GitRepository, existing_tag
from mlbfs.git.roots import iter_roots
from mlbfs.store.chunkstore import ChunkStore
from mlbfs.store.fsck import fsck
from mlbfs.workspace.beginning import offer_attributes
from mlbfs.workspace.check import RepositoryCheck
from mlbfs.workspace.diff import diff_trees
from mlbfs.workspace.disk import DiskUsage, measure
from mlbfs.workspace.exporter import Exporter, ExportResult
from mlbfs.workspace.garbage import collect_garbage
from mlbfs.workspace.importer import (
    Importer,
    ImportRequest,
    ImportResult,
    ImportSource,
    begun_elsewhere,
    check_sources,
    default_message,
)
from mlbfs.workspace.kept import KeptWorkspace, list_workspaces
from mlbfs.workspace.lfsobjects import LfsFetch, LfsFetched
from mlbfs.workspace.pins import unpin
from mlbfs.workspace.savepoints import remove_savepoints
from mlbfs.workspace.snapshot import Snapshot
from mlbfs.workspace.source import SnapshotSource
from mlbfs.workspace.usage import Usage, UsageCounter
from mlbfs.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mlbfs.git.commits import Commit, Signature
    from mlbfs.git.repository import Ref
    from mlbfs.git.revisions import ResolvedRef
    from mlbfs.ids import ObjectId
    from mlbfs.store.findings import Finding
    from mlbfs.store.gc import GcResult
    from mlbfs.workspace.beginning import Offered
    from mlbfs.workspace.check import Problem
    from mlbfs.workspace.diff import Change
    from mlbfs.workspace.importer import Progress
    from mlbfs.workspace.merges import Merges

STORE_NAME = "mlbfs"
"""Folder of everything of ours inside the Git directory, as Git LFS uses `lfs`."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes commits and who commits them; both from Git's configuration unless given."""

    author: Signature
    committer: Signature


class Repository:
    """An open repository. A context manager; closing it releases the store."""

    def __init__(self, git: GitRepository, store: ChunkStore) -> None:
        self.git = git
        self.store = store
        self.source = SnapshotSource(git, store)

    @classmethod
    def init(cls, path: Path) -> Repository:
        """Makes or adopts a Git repository at `path` and opens it; idempotent."""
        git = GitRepository.init(path)
        return cls(git, ChunkStore.create(git.common_dir / STORE_NAME))

    @classmethod
    def open(cls, path: Path, *, repair: bool = False) -> Repository:
        """Opens the repository that `path` lies in, looking upwards as Git does.

        Args:
            path: Where to begin.
            repair: Open it even when its chunk index is missing or damaged.

        Raises:
            NotFoundError: There is none (REPOSITORY_NOT_FOUND), or it is a Git repository that
                `mlbfs init` has not adopted (NOT_MLBFS).
            FormatVersionError: It was written by a newer mlbfs.
        """
        git = GitRepository.discover(path)
        return cls(git, ChunkStore.open(git.common_dir / STORE_NAME, repair=repair))

    @classmethod
    def adopt(cls, path: Path) -> Repository:
        """Opens the Git repository that `path` lies in, and gives it a store if it has none.

        Nothing else about it changes; `init` makes repositories.

        Raises:
            NotFoundError: There is none (REPOSITORY_NOT_FOUND).
            FormatVersionError: It was written by a newer mlbfs.
        """
        git = GitRepository.discover(path)
        return cls(git, ChunkStore.create(git.common_dir / STORE_NAME))

    def close(self) -> None:
        """Releases the store and the Git repository."""
        self.store.close()
        self.git.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """Folder of everything of ours: `.git/mlbfs`."""
        return self.git.common_dir / STORE_NAME

    @cached_property
    def merges(self) -> Merges:
        """Merges into branches; imported when it is used, as it takes a tenth of every start."""
        from mlbfs.workspace.merges import Merges

        return Merges(self.source)

    # Reading

    def resolve(self, spec: str) -> ResolvedRef:
        """Resolves a branch, tag, commit or any expression of `git rev-parse`.

        Raises:
            NotFoundError: Nothing has that name.
        """
        return self.git.resolve(spec)

    def snapshot(self, spec: str = "HEAD") -> Snapshot:
        """Returns the immutable tree of a branch, tag or commit.

        Raises:
            NotFoundError: Nothing has that name.
        """
        return Snapshot(self.source, self.git.read_commit(self.resolve(spec).commit))

    def branches(self) -> list[Ref]:
        """Returns the branches, by name."""
        return self.git.branches()

    def tags(self) -> list[Ref]:
        """Returns the tags, by name, each with the commit it leads to."""
        return self.git.tags()

    def has_path(self, spec: str, path: bytes) -> bool:
        """Returns whether the tree of a ref has something at `path`."""
        try:
            return self.snapshot(spec).get(path) is not None
        except NotFoundError as err:
            if err.kind is not ErrorKind.REF_NOT_FOUND:
                raise
            return False

    def log(
        self,
        spec: str = "HEAD",
        *,
        path: bytes = b"",
        limit: int | None = None,
        topological: bool = False,
    ) -> Iterator[Commit]:
        """Yields the history of a ref, newest first.

        Args:
            spec: Where it ends.
            path: Only commits that changed this path.
            limit: At most so many commits.
            topological: No parent before its children; reads all of history first.
        """
        start = self.resolve(spec).commit
        return self.git.log(start, path=path or None, limit=limit, topological=topological)

    def diff(self, old: str, new: str) -> Iterator[Change]:
        """Yields what changed between two refs; reads only folders that differ."""
        before, after = self.snapshot(old), self.snapshot(new)
        return diff_trees(self.source, before.commit.tree, after.commit.tree)

    def export(
        self,
        spec: str,
        destination: Path,
        *,
        path: bytes = b"",
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportResult:
        """Copies a folder or file of a ref to the host.

        Raises:
            AlreadyExistsError: The destination holds something.
        """
        return Exporter(self.snapshot(spec), progress).run(path, destination)

    def disk_usage(self) -> DiskUsage:
        """Returns what the repository takes on disk, by what it is for."""
        return measure(self.git.common_dir)

    def fetch_lfs(
        self, specs: Iterable[str], *, progress: Callable[[int, int], None] | None = None
    ) -> LfsFetched:
        """Puts the content of refs where a Git LFS client looks for it.

        Raises:
            NotFoundError: There is no such ref, or content is not here.
            CorruptionError: Content is damaged.
        """
        fetch = LfsFetch(progress)
        for spec in specs:
            fetch.run(self.snapshot(spec))
        return fetch.result

    def usage(self, progress: Callable[[int], None] | None = None) -> Usage:
        """Returns sizes over all branches, and per branch what is its own and what is shared."""
        tips = [(ref.short, self.git.read_commit(ref.target).tree) for ref in self.branches()]
        return UsageCounter(self.source).count(tips, progress)

    # Writing

    def author(self, environment: Mapping[str, str] | None = None) -> Author:
        """Returns who commits, now: by Git's configuration, and by `environment` before it.

        Raises:
            UserError: Git does not know who the user is.
        """
        env = environment or {}
        return Author(
            self.git.signature("author", env=env), self.git.signature("committer", env=env)
        )

    def offer_attributes(self) -> Offered:
        """Writes default merge attributes: for new branches, and into a work tree without any.

        What is there stays as it is, and nothing is committed; see `mlbfs init --help`.

        Raises:
            StorageError: The device refused.
        """
        return offer_attributes(self.git, self.directory)

    def create_branch(self, name: str, start: str = "HEAD", *, author: Author) -> ObjectId:
        """Makes a branch at a commit; costs nothing, whatever its size.

        Raises:
            AlreadyExistsError: There is such a branch.
        """
        ref = check_branch_name(name)
        target = self.resolve(start)
        try:
            self.git.refs.compare_and_swap(
                ref,
                None,
                target.commit,
                identity=author.committer,
                message=f"branch: Created from {start}",
            )
        except RefMovedError as err:
            raise AlreadyExistsError(
                f"branch {name!r} exists already", hint="choose another name, or delete it first"
            ) from err
        return target.commit

    def delete_branch(self, name: str, *, author: Author, force: bool = False) -> ObjectId:
        """Deletes a branch and returns where it was.

        Raises:
            NotFoundError: There is no such branch.
            ConflictError: Its commits would be on no branch or tag any more, and not `force`; or
                its workspace holds unsaved work, or a merge into it waits for a person, and not
                `force`; or a Git work tree has it checked out.
        """
        ref = check_branch_name(name)
        head = self._read_ref(ref, name, "branch")
        self.git.check_not_checked_out(name)
        if not force:
            self.merges.check_none(name)
        if not force and not self._is_kept_elsewhere(ref, head):
            raise ConflictError(
                f"branch {name!r} has commits that no other branch or tag has",
                kind=ErrorKind.REF_MOVED,
                hint=f"to delete it all the same: mlbfs branch --delete --force {name}",
            )
        with ExitStack() as stack:
            mine = [kept for kept in self.workspaces() if kept.branch == name]
            for kept in mine:
                opened = self._open_kept(kept, self.git.read_commit(head))
                self._check_disposable(stack.enter_context(opened), force=force)
            self.git.refs.compare_and_swap(
                ref, head, None, identity=author.committer, message="branch: deleted"
            )
            for kept in mine:
                self._remove_workspace(kept, author)
        if self.merges.waits(name):
            self.merges.abort(name, author.committer)
        return head

    def create_tag(
        self, name: str, target: str = "HEAD", *, message: str | None = None, author: Author
    ) -> ObjectId:
        """Tags a commit: annotated with `message`, else light. Returns the commit.

        Raises:
            AlreadyExistsError: There is such a tag.
        """
        check_tag_name(name)
        commit = self.resolve(target).commit
        try:
            self.git.create_tag(
                name, commit, identity=author.committer, tagger=author.committer, message=message
            )
        except RefMovedError as err:
            raise existing_tag(name) from err
        return commit

    def delete_tag(self, name: str, *, author: Author) -> ObjectId:
        """Deletes a tag and returns what it named: a commit, or the object of an annotated tag.

        Raises:
            NotFoundError: There is no such tag.
        """
        ref = check_tag_name(name)
        value = self._read_ref(ref, name, "tag")
        self.git.refs.compare_and_swap(
            ref, value, None, identity=author.committer, message="tag: deleted"
        )
        return value

    def import_paths(
        self,
        sources: Sequence[ImportSource],
        branch: str,
        *,
        author: Author,
        to: bytes = b"",
        message: str | None = None,
        start: str | None = None,
        replace: bool = False,
        reread: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> ImportResult:
        """Takes files of the host into a branch as one commit; see `mlbfs import --help`.

        Raises:
            StorageError: A source cannot be read, or the disk is full; nothing was published.
            ConflictError: The branch is checked out in a Git work tree, or keeps moving.
        """
        ref = check_branch_name(branch)
        exists = self.git.refs.read(ref) is not None
        if exists and start is not None:
            raise begun_elsewhere(branch, start)
        self.git.check_not_checked_out(branch, instead="import to another branch")
        check_sources(tuple(sources), forbidden=(self.git.git_dir, self.git.common_dir))
        request = ImportRequest(
            sources=tuple(sources),
            branch=branch,
            message=message or default_message(sources),
            author=author.author,
            committer=author.committer,
            to=to,
            start=self.git.read_commit(self.resolve(start).commit) if start else None,
            replace=replace,
            reread=reread,
            progress=progress,
        )
        return Importer(self.source, request).run()

    # Maintenance

    def check_store(
        self,
        *,
        repair: bool = False,
        content: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Finding]:
        """Yields what is wrong with packs, chunk index and recipes; mends it with `repair`.

        With `content` every file is read as well and compared with its id.

        Raises:
            ConflictError: gc is at work, or a writer when this is a repair.
        """
        return fsck(self.store, repair=repair, content=content, progress=progress)

    def check_commits(self, progress: Callable[[int], None] | None = None) -> Iterator[Problem]:
        """Yields what is wrong between commits and the store: missing content above all."""
        return RepositoryCheck(self.source, progress).run(iter_roots(self.git))

    def gc(
        self,
        *,
        mounted: Callable[[], Mapping[str, Iterable[ObjectId]]] | None = None,
        repack: bool = False,
        dry_run: bool = False,
    ) -> GcResult:
        """Gives back the space of what no ref, reflog entry, workspace or mount needs.

        Args:
            mounted: Returns the commits that live mounts show, by the name of their workspace, or
                by the folder of a mount that has none.
            repack: Rewrite packs of which a large part is not needed.
            dry_run: Only count.

        Raises:
            ConflictError: A writer is at work, or a workspace is in use and not in `mounted`.
        """
        return collect_garbage(
            self.source, self.directory, mounted=mounted, repack=repack, dry_run=dry_run
        )

    # Workspaces

    def workspace(self, branch: str) -> Workspace:
        """Opens the workspace of a branch: its head and what was changed on top of it.

        Raises:
            NotFoundError: There is no such branch.
            ConflictError: Another process has it open, a mount say.
        """
        ref = check_branch_name(branch)
        head = self.git.read_commit(self._read_ref(ref, branch, "branch"))
        return Workspace.open_for(self.source, branch, head)

    def workspaces(self) -> list[KeptWorkspace]:
        """Returns the workspaces that there are, open or not, by name."""
        return list_workspaces(self.directory)

    def delete_workspace(self, name: str, *, author: Author, force: bool = False) -> KeptWorkspace:
        """Deletes a workspace with its savepoints; the branch stays.

        Raises:
            NotFoundError: There is no such workspace.
            ConflictError: It is open, or holds work that was not committed and not `force`.
        """
        for kept in self.workspaces():
            if kept.name == name:
                break
        else:
            raise NotFoundError(
                f"there is no workspace {name!r}",
                kind=ErrorKind.WORKSPACE_NOT_FOUND,
                hint="'mlbfs workspaces' lists them",
            )
        if kept.base is None and not kept.holder:  # never opened, or not to its end
            self._remove_workspace(kept, author)
            return kept
        head = self.git.read_commit(kept.base) if kept.base is not None else None
        with self._open_kept(kept, head) as workspace:
            self._check_disposable(workspace, force=force)
            self._remove_workspace(kept, author)
        return kept

    def _open_kept(self, kept: KeptWorkspace, head: Commit | None) -> Workspace:
        if kept.holder or head is None:
            raise ConflictError(
                f"workspace {kept.name!r} is in use by process {kept.holder}",
                hint="unmount it first ('mlbfs mounts' lists)",
            )
        return Workspace.open(kept.root, self.source, branch=kept.branch, head=head)

    def _remove_workspace(self, kept: KeptWorkspace, author: Author) -> None:
        shutil.rmtree(kept.root, ignore_errors=True)  # what is left of it is no branch's any more
        unpin(self.git.refs, kept.root, author.committer)
        remove_savepoints(self.git, kept.name)

    def _read_ref(self, ref: str, name: str, noun: str) -> ObjectId:
        value = self.git.refs.read(ref)
        if value is None:
            raise NotFoundError(
                f"there is no {noun} {name!r}",
                kind=ErrorKind.REF_NOT_FOUND,
                hint=f"'mlbfs {noun}' lists them",
            )
        return value

    def _check_disposable(self, workspace: Workspace, *, force: bool) -> None:
        status = workspace.status()
        if not force and not status.is_clean:
            raise ConflictError(
                f"workspace {workspace.name!r} has work that was not committed",
                hint=f"commit it: mlbfs commit --branch {workspace.branch} -m MESSAGE",
            )

    def _is_kept_elsewhere(self, ref: str, head: ObjectId) -> bool:
        others = [other for other in self.branches() + self.tags() if other.name != ref]
        commits = [other.commit for other in others if other.commit is not None]
        return any(self.git.is_ancestor(head, commit) for commit in commits)


def is_initialized(path: Path) -> bool:
    """Returns whether `path` holds a Git repository that `init` has adopted."""
    found = locate(path)
    return found is not None and (found.common_dir / STORE_NAME / "format").exists()
