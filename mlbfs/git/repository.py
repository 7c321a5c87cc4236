"""The Git repository below an mlbfs repository: the facade of this layer.

Owns: opening and making a repository, and what is shared by its parts (the libgit2 handle).
Layer: git. Imports the rest of git/ and the leaves.

Concurrency: a `GitRepository` may be used from many threads. It does not survive a fork: open it
in the process that uses it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlbfs.errors import (
    AlreadyExistsError,
    ErrorKind,
    MlbfsError,
    NotFoundError,
    storage_error,
)
from mlbfs.git.attributes import Attributes
from mlbfs.git.commits import (
    Commit,
    Identity,
    Signature,
    TagObject,
    parse_commit,
    parse_tag,
)
from mlbfs.git.config import GitConfig
from mlbfs.git.discovery import Location, discover, locate
from mlbfs.git.history import (
    PathFilter,
    follow_all,
    is_ancestor,
    iter_by_date,
    iter_topological,
    merge_bases,
)
from mlbfs.git.identity import Role, find_identity, find_signature
from mlbfs.git.ignore import Ignore
from mlbfs.git.lfs import LfsObjects
from mlbfs.git.lookup import TreeLookup
from mlbfs.git.names import BRANCH_PREFIX, TAG_PREFIX, check_tag_name, shown_ref
from mlbfs.git.objectreader import ObjectReader
from mlbfs.git.objects import ObjectWriter
from mlbfs.git.opening import configure_new, create_repository, make_directory, open_handle
from mlbfs.git.refs import RefStore
from mlbfs.git.revisions import ResolvedRef, Resolver
from mlbfs.git.trees import (
    MODE_EXECUTABLE,
    MODE_FILE,
    HostileTreeError,
    TreeEntry,
    parse_tree,
)
from mlbfs.git.worktrees import find_use, in_use
from mlbfs.ids import ObjectId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    import pygit2

    from mlbfs.git.kinds import ObjectKind

_CACHED_COMMITS = 4096
"""A path filter looks at a commit as a parent before it comes to its turn."""

_NO_ENVIRONMENT: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or tag.

    Attributes:
        name: Full name.
        target: What the ref holds: a commit, or an annotated tag.
        commit: The commit, peeled; None for a tag of something else.
        tag: The annotated tag, if it is one.
    """

    name: str
    target: ObjectId
    commit: ObjectId | None
    tag: TagObject | None = None

    @property
    def short(self) -> str:
        """The name as people type it."""
        return shown_ref(self.name)


class GitRepository:
    """One Git repository, seen from its main or a linked work tree.

    Attributes:
        git_dir: Where `HEAD` lies.
        common_dir: Where objects, shared refs and `mlbfs/` lie.
        work_tree: The work tree, or None in a bare repository.
        config: The Git configuration.
        refs: The refs.
        lfs: Content kept by a Git LFS client.
    """

    def __init__(self, location: Location, handle: pygit2.Repository) -> None:
        self.git_dir = location.git_dir
        self.common_dir = location.common_dir
        self._reader = ObjectReader(location.git_dir, location.common_dir / "objects", handle)
        self.config = GitConfig(handle.config)
        self.work_tree = None if handle.is_bare else Path(handle.workdir)
        self.refs = RefStore(
            self.git_dir,
            self.common_dir,
            object_kind=self._reader.kind,
            log_updates=self.config.log_policy,
        )
        self._resolver = Resolver(self.refs, self._reader)
        self.lfs = LfsObjects(self.common_dir, storage=self.config.get("lfs.storage"))

    # Opening

    @classmethod
    def init(cls, path: Path) -> GitRepository:
        """Makes a repository in `path`, or opens the one that is there.

        A new one has `core.bare=true` and HEAD on `main`; so becomes one that was made with
        `git init` and not used yet. Any other is opened as it is.

        Raises:
            InvalidInputError: `path` is a file.
            StorageError: The directory cannot be made.
        """
        make_directory(path)
        location = locate(path.resolve())
        if location is None:
            return cls._open(create_repository(path.resolve()))
        repository = cls._open(location)
        if not repository._is_unused(location):
            return repository
        repository.close()
        configure_new(location.common_dir)
        return cls._open(location)

    @classmethod
    def open(cls, path: Path) -> GitRepository:
        """Opens the repository at exactly `path`: its work tree or Git directory.

        Raises:
            NotFoundError: There is none.
            UnsupportedError: Git would not touch it, or it has features we do not know.
        """
        location = locate(path.resolve())
        if location is None:
            raise NotFoundError(
                f"{str(path)!r} is not a Git repository",
                kind=ErrorKind.REPOSITORY_NOT_FOUND,
                hint="make one with 'mlbfs init'",
            )
        return cls._open(location)

    @classmethod
    def discover(cls, start: Path) -> GitRepository:
        """Opens the repository that `start` lies in, looking upwards as Git does.

        Raises:
            NotFoundError: There is none (REPOSITORY_NOT_FOUND).
            UnsupportedError: Git would not touch it, or it has features we do not know.
        """
        return cls._open(discover(start))

    @classmethod
    def _open(cls, location: Location) -> GitRepository:
        return cls(location, open_handle(location))

    def _is_unused(self, location: Location) -> bool:
        if location.work_tree is None or location.git_dir != location.common_dir:
            return False
        if self.is_bare or (self.git_dir / "index").exists() or any(self.refs.iter()):
            return False
        return {child.name for child in location.work_tree.iterdir()} == {".git"}

    def close(self) -> None:
        """Releases files; the object must not be used after."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def alternates(self) -> list[Path]:
        """Returns the object folders of other repositories that lend this one their objects."""
        objects = self.common_dir / "objects"
        text = _read_if_there(objects / "info" / "alternates")
        lines = [line for line in text.split(b"\n") if line and not line.startswith(b"#")]
        return [objects / os.fsdecode(line) for line in lines]

    # Configuration

    @property
    def is_bare(self) -> bool:
        """Whether there is no main work tree."""
        return self.work_tree is None

    @property
    def is_partial(self) -> bool:
        """Whether it is a partial clone: objects may be at the remote that it came from."""
        return bool(
            self.config.get("extensions.partialClone")
            or self.config.names_like("remote.", ".promisor")
        )

    def config_get(self, key: str) -> str | None:
        """Returns a value of the Git configuration (system, user, repository), or None."""
        return self.config.get(key)

    def config_bool(self, key: str, *, default: bool = False) -> bool:
        """Returns a Boolean of the Git configuration.

        Raises:
            InvalidInputError: The value is not a Boolean.
        """
        return self.config.get_bool(key, default=default)

    def config_int(self, key: str, *, default: int) -> int:
        """Returns a number of the Git configuration; `k`, `m` and `g` multiply it.

        Raises:
            InvalidInputError: The value is not a number.
        """
        return self.config.get_int(key, default=default)

    def identity(
        self, role: Role = "author", *, env: Mapping[str, str] = _NO_ENVIRONMENT
    ) -> Identity:
        """Returns who the user is, from `env` and the Git configuration.

        Raises:
            IdentityUnknownError: Git does not know; the hint says what to type.
        """
        return find_identity(role, self.config.get, env)

    def signature(
        self, role: Role = "author", *, env: Mapping[str, str] = _NO_ENVIRONMENT
    ) -> Signature:
        """Returns who the user is, and now (or the date that `env` says).

        Raises:
            IdentityUnknownError: Git does not know; the hint says what to type.
        """
        return find_signature(role, self.config.get, env)

    # Reading

    def resolve(self, spec: str) -> ResolvedRef:
        """Returns the commit that a branch, tag, (short) id or revision names.

        Raises:
            NotFoundError: Nothing fits (REF_NOT_FOUND); the hint names what is near.
            InvalidInputError: It fits several commits, or no commit.
        """
        return self._resolver.resolve(spec)

    def commit_of(self, ref: str) -> ObjectId | None:
        """Returns the commit that a ref, by its full name, leads to; None if there is no such ref.

        Raises:
            InvalidInputError: It leads to a tree or a blob.
            NotFoundError: It leads to what is not here.
        """
        oid = self.refs.read(ref)
        return None if oid is None else self._resolver.peel(oid, ref)

    def read_commit(self, oid: ObjectId) -> Commit:
        """Returns a commit. Where a shallow clone ends, it has no parents.

        Raises:
            NotFoundError: There is no such commit.
            CorruptionError: It is damaged.
        """
        commit = parse_commit(oid, self._reader.read(oid, "commit"))
        if commit.parents and oid in self._shallow():
            return Commit(
                oid,
                commit.tree,
                (),
                commit.author,
                commit.committer,
                commit.message,
                commit.message_bytes,
            )
        return commit

    def read_tree(self, oid: ObjectId) -> list[TreeEntry]:
        """Returns the entries of a tree, checked.

        Raises:
            NotFoundError: There is no such tree.
            HostileTreeError: A name must not reach a file system (HOSTILE_TREE).
            CorruptionError: It is damaged.
        """
        try:
            return parse_tree(self._reader.read(oid, "tree"))
        except HostileTreeError as err:
            raise HostileTreeError(
                f"{err.message}; nothing of tree {oid.hex()[:10]} is shown",
                hint=f"'git ls-tree {oid.hex()[:10]}' lists it; whoever made it has to mend it",
            ) from err

    def read_raw_tree(self, oid: ObjectId) -> bytes:
        """Returns a tree as it is stored; its entries are not checked.

        Raises:
            NotFoundError: There is no such tree.
            CorruptionError: Its bytes do not match its id.
        """
        return self._reader.read(oid, "tree")

    def read_blob(self, oid: ObjectId) -> bytes:
        """Returns a blob.

        Raises:
            NotFoundError: There is no such blob.
            CorruptionError: It is damaged.
        """
        return self._reader.read(oid, "blob")

    def blob_size(self, oid: ObjectId) -> int:
        """Returns the length of a blob without reading it.

        Raises:
            NotFoundError: There is no such blob.
        """
        return self._reader.header(oid)[1]

    def read_tag(self, oid: ObjectId) -> TagObject:
        """Returns an annotated tag.

        Raises:
            NotFoundError: There is no such tag object.
        """
        return parse_tag(oid, self._reader.read(oid, "tag"))

    def object_kind(self, oid: ObjectId) -> ObjectKind | None:
        """Returns commit, tree, blob or tag; None when there is no such object."""
        return self._reader.kind(oid)

    def _shallow(self) -> frozenset[ObjectId]:
        path = self.common_dir / "shallow"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return frozenset()
        except OSError as err:
            raise storage_error(err, f"reading {str(path)!r}") from err
        return frozenset(ObjectId(bytes.fromhex(line.decode())) for line in data.split())

    def find_entry(self, tree: ObjectId, path: bytes) -> TreeEntry | None:
        """Returns the entry at a path below a tree, or None; b"" is the tree itself."""
        return TreeLookup(self.read_tree, self.read_raw_tree).find(tree, path)

    def attributes(self, tree: ObjectId | None) -> Attributes:
        """Returns the attributes of the paths of a tree, with `info/attributes`."""
        trees = TreeLookup(self.read_tree, self.read_raw_tree)

        def read(path: bytes) -> bytes | None:
            entry = None if tree is None else trees.find(tree, path)
            if entry is None or entry.mode not in (MODE_FILE, MODE_EXECUTABLE):
                return None
            return self.read_blob(entry.id)

        return self.attributes_of(read)

    def attributes_of(self, read: Callable[[bytes], bytes | None]) -> Attributes:
        """Returns attributes whose `.gitattributes` come from `read`, with `info/attributes`."""
        info = _read_if_there(self.common_dir / "info" / "attributes")
        return Attributes(read, info=info)

    def ignore_of(self, read: Callable[[bytes], bytes | None]) -> Ignore:
        """Returns ignore rules whose `.gitignore` come from `read`, with those of the repository.

        `info/exclude`, and `core.excludesFile` or the file that Git takes without it.
        """
        info = _read_if_there(self.common_dir / "info" / "exclude")
        return Ignore(read, info=info, extra=_read_if_there(self.config.excludes_file()))

    # History

    def log(
        self,
        start: ObjectId,
        *,
        path: bytes | None = None,
        limit: int | None = None,
        topological: bool = False,
    ) -> Iterator[Commit]:
        """Yields history from `start`, newest first, reading no more than it yields.

        Args:
            start: Where to begin.
            path: Only commits that changed this path.
            limit: At most so many commits.
            topological: No parent before any of its children; reads all of history first.
        """
        read = lru_cache(_CACHED_COMMITS)(self._reader.commit_node)
        follow = PathFilter(path, read, self._reader.child_of).follow if path else follow_all
        walk = iter_topological if topological else iter_by_date
        for oid in islice(walk(start, read, follow), limit):
            yield self.read_commit(oid)

    def merge_base(self, one: ObjectId, other: ObjectId) -> ObjectId | None:
        """Returns the best common ancestor, or None when histories are unrelated."""
        return next(iter(self.merge_bases(one, other)), None)

    def merge_bases(self, one: ObjectId, other: ObjectId) -> list[ObjectId]:
        """Returns all best common ancestors, newest first; several when histories are crossed."""
        return merge_bases(one, other, self._reader.commit_node)

    def is_ancestor(self, ancestor: ObjectId, descendant: ObjectId) -> bool:
        """Returns whether `descendant` is, or comes after, `ancestor`."""
        return is_ancestor(ancestor, descendant, self._reader.commit_node)

    # Branches and tags

    def branches(self) -> list[Ref]:
        """Returns the branches, by name."""
        return [Ref(name, oid, oid) for name, oid in self.refs.iter(BRANCH_PREFIX)]

    def tags(self) -> list[Ref]:
        """Returns the tags, by name, peeled."""
        return [self._tag_ref(name, oid) for name, oid in self.refs.iter(TAG_PREFIX)]

    def _tag_ref(self, name: str, oid: ObjectId) -> Ref:
        tag = self.read_tag(oid) if self.object_kind(oid) == "tag" else None
        commit: ObjectId | None = None
        with contextlib.suppress(MlbfsError):  # a tag of a tree, or of what is not here
            commit = self._resolver.peel(oid, name)
        return Ref(name, oid, commit, tag)

    def create_tag(
        self,
        name: str,
        target: ObjectId,
        *,
        identity: Identity,
        tagger: Signature | None = None,
        message: str | None = None,
    ) -> ObjectId:
        """Makes a tag: annotated with a message, light without. Returns what the ref holds.

        Raises:
            InvalidInputError: The name is not one for a tag.
            RefMovedError: There is such a tag already.
        """
        full = check_tag_name(name)
        value = target
        if message is not None:
            assert tagger is not None
            with self.objects() as objects:
                kind = self._reader.header(target)[0]
                value = objects.put_tag(
                    target=target, kind=kind, name=name, tagger=tagger, message=message
                )
                objects.commit()
        self.refs.compare_and_swap(full, None, value, identity=identity, message=f"tag: {name}")
        return value

    def adopt_first_branch(self, ref: str) -> None:
        """Points HEAD of a bare repository at a branch, if it points to one without a commit.

        Otherwise a repository whose first branch has another name would have no `git log`, and its
        clones no files.
        """
        unborn = self.refs.read("HEAD") is None
        if self.is_bare and unborn and self.refs.symbolic_target("HEAD") is not None:
            self.refs.set_symbolic("HEAD", ref)

    def check_tag_free(self, name: str) -> None:
        """Checks that a tag can be made, before work is done that ends with making it.

        Raises:
            AlreadyExistsError: There is such a tag.
            InvalidInputError: The name is not one for a tag.
        """
        if self.refs.read(check_tag_name(name)) is not None:
            raise existing_tag(name)

    def checked_out_at(self, branch: str) -> Path | None:
        """Returns the work tree that has a branch checked out, or None."""
        full = branch if branch.startswith("refs/") else BRANCH_PREFIX + branch
        use = find_use(self.common_dir, self._main_work_tree(), full)
        return None if use is None else use.place

    def check_not_checked_out(self, branch: str, *, instead: str = "") -> None:
        """Checks that no work tree has a branch checked out, before it is moved or deleted.

        To that work tree it would look as if every change of the branch had been undone there.

        Args:
            branch: Short name.
            instead: What else the user can do; begins the hint.

        Raises:
            ConflictError: One has (BRANCH_CHECKED_OUT); the hint says how to let go of it.
        """
        full = BRANCH_PREFIX + branch
        use = find_use(self.common_dir, self._main_work_tree(), full)
        if use is not None:
            raise in_use(branch, use, is_born=self.refs.read(full) is not None, instead=instead)

    def _main_work_tree(self) -> Path | None:
        if self.config.get_bool("core.bare"):
            return None
        configured = self.config.get("core.worktree")
        return self.common_dir / configured if configured else self.common_dir.parent

    # Writing

    def objects(self) -> ObjectWriter:
        """Returns a writer of new objects, a context manager."""
        return ObjectWriter(self.common_dir / "objects")


def _read_if_there(path: Path | None) -> bytes:
    """Returns the content of a file of the host; nothing if there is none."""
    if path is not None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return path.read_bytes()
    return b""


def existing_tag(name: str) -> AlreadyExistsError:
    """Returns the error for a tag that is there already."""
    return AlreadyExistsError(
        f"tag {name!r} exists already", hint="choose another name, or delete it first"
    )
