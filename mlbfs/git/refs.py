"""Refs: names that point to commits and tags, changed by compare-and-swap.

Owns: where a ref lies, and the order of steps of a change. Files are Git's own: loose refs,
`packed-refs`, `logs/`, and the lock files that C Git takes too.
Layer: git. Files only; whether an object exists is asked through a function handed in.

Invariants:
  I1. A ref is changed only while its `<ref>.lock` is held, and only if it still has the value the
      caller expects.
  I2. The new value and its name are durable before `compare_and_swap` returns.
  I3. A symbolic ref is never overwritten: the ref it points to is.

Concurrency: any number of processes and threads, C Git among them.
"""

from __future__ import annotations

import contextlib
import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mlbfs.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptionError,
    ErrorKind,
    InvalidInputError,
    NotFoundError,
    storage_error,
)
from mlbfs.git.commits import Identity, Signature
from mlbfs.git.files import (
    LOCK_TIMEOUT,
    LockFile,
    remove_empty_parents,
    replace_file,
    sync_directory,
)
from mlbfs.git.identity import signed_now
from mlbfs.git.names import BRANCH_PREFIX, check_ref_name, is_ref_name, ref_noun, shown_ref
from mlbfs.git.packedrefs import PackedRefs, without_ref
from mlbfs.git.reflog import NULL_ID, ReflogEntry, append_reflog, parse_reflog
from mlbfs.ids import ObjectId, short_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PER_WORKTREE = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")
_LOGGED = (BRANCH_PREFIX, "refs/remotes/", "refs/notes/")
_SYMREF = b"ref:"
_HEX_LINE = re.compile(rb"([0-9a-fA-F]{40})(?:\s|\Z)")
_MAX_SYMREF_DEPTH = 5
"""As in C Git; a longer chain is a loop."""


class RefMovedError(ConflictError):
    """A ref does not have the value that the caller expected."""

    default_kind = ErrorKind.REF_MOVED


class RefStore:
    """The refs of one repository, as seen from one (main or linked) work tree.

    Args:
        git_dir: Where `HEAD` lies.
        common_dir: Where shared refs lie; the same unless this is a linked work tree.
        object_kind: Returns the type of an object, or None when there is no such object.
        log_updates: `core.logAllRefUpdates`: "always", "true" or "false"; asked when needed.

    Attributes:
        lock_timeout: Seconds to wait for a lock that someone else holds.
    """

    def __init__(
        self,
        git_dir: Path,
        common_dir: Path,
        *,
        object_kind: Callable[[ObjectId], str | None],
        log_updates: Callable[[], str],
    ) -> None:
        self._git_dir = git_dir
        self._common_dir = common_dir
        self._object_kind = object_kind
        self._log_updates = log_updates
        self._packed = PackedRefs(common_dir / "packed-refs")
        self.lock_timeout = LOCK_TIMEOUT

    # Reading

    def read(self, name: str) -> ObjectId | None:
        """Returns what a ref points to, through symbolic refs; None when it does not exist."""
        return self._follow(name)[1]

    def resolve_symbolic(self, name: str) -> str:
        """Returns the name of the ref that `name` stands for: itself unless it is symbolic.

        Raises:
            CorruptionError: Symbolic refs point round in a circle.
        """
        return self._follow(name)[0]

    def _follow(self, name: str) -> tuple[str, ObjectId | None]:
        """Returns the name and value at the end of symbolic refs."""
        for _ in range(_MAX_SYMREF_DEPTH):
            value = self._read_direct(name)
            if not isinstance(value, str):
                return name, value
            name = value
        raise CorruptionError(
            f"the symbolic ref {name!r} points round in a circle", kind=ErrorKind.CORRUPT_OBJECT
        )

    def symbolic_target(self, name: str) -> str | None:
        """Returns the ref that a symbolic ref names, or None when it is not symbolic."""
        value = self._read_direct(name)
        return value if isinstance(value, str) else None

    def iter(self, prefix: str = "refs/") -> Iterator[tuple[str, ObjectId]]:
        """Yields the refs whose name begins with `prefix`, by name; broken ones are left out."""
        for name in sorted(set(self.names(prefix))):
            if (value := self.read(name)) is not None:
                yield name, value

    def names(self, prefix: str = "refs/") -> Iterator[str]:
        """Yields names that begin with `prefix`, in any order, some twice, perhaps of broken refs.

        Reads no ref, and only the folders that can hold such names.
        """
        for name in self._iter_loose(prefix):
            if is_ref_name(name):
                yield name
        for name in self._packed.refs():
            if name.startswith(prefix) and is_ref_name(name):
                yield name

    def reflog(self, name: str) -> list[ReflogEntry]:
        """Returns the changes of a ref, oldest first; empty when there is no log."""
        try:
            return parse_reflog(self._log_path(name).read_bytes())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return []
        except OSError as err:
            raise storage_error(err, f"reading the log of {name!r}") from err

    def _iter_loose(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        for top in {self._common_dir, self._git_dir}:
            for directory, _, files in os.walk(top / folder):
                base = os.path.relpath(directory, top)
                names = (f"{base}/{name}" for name in files if not name.endswith(".lock"))
                yield from (name for name in names if name.startswith(prefix))

    def _read_direct(self, name: str) -> ObjectId | str | None:
        """Returns the id, the name a symbolic ref points to, or None."""
        try:
            data = self._path(name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return self._packed.refs().get(name)
        except OSError as err:
            raise storage_error(err, f"reading the ref {name!r}") from err
        value = _parse_ref(data)
        if value is None:
            raise CorruptionError(
                f"the ref {name!r} cannot be parsed",
                kind=ErrorKind.CORRUPT_OBJECT,
                hint=f"look at {str(self._path(name))!r}; 'git reflog' may know its last value",
            )
        return value

    def _home(self, name: str) -> Path:
        own = not name.startswith("refs/") or name.startswith(_PER_WORKTREE)
        return self._git_dir if own else self._common_dir

    def _path(self, name: str) -> Path:
        return self._home(name) / name

    def _log_path(self, name: str) -> Path:
        return self._home(name) / "logs" / name

    # Changing

    def compare_and_swap(
        self,
        name: str,
        old: ObjectId | None,
        new: ObjectId | None,
        *,
        identity: Identity,
        message: str,
    ) -> None:
        """Changes a ref if it still is what the caller thinks. This is the commit point.

        Args:
            name: Full name (`refs/heads/x`), or a symbolic ref such as `HEAD`.
            old: Value it must have now; None: it must not exist.
            new: Value to give it; None: delete it.
            identity: Who goes into the reflog; a `Signature` sets the time too.
            message: One line for the reflog.

        Durability: value, name and log entry are on the device on return.

        Raises:
            InvalidInputError: Not a name for a ref, or `new` is no object it may point to.
            RefMovedError: Its value is another one.
            ConflictError: Its lock file stays (LOCKED).
            AlreadyExistsError: A ref `a` and a ref `a/b` cannot both be.
        """
        name = self.resolve_symbolic(name)  # I3
        check_ref_name(name)
        self._check_target(name, new)
        who = identity if isinstance(identity, Signature) else signed_now(identity)
        with ExitStack() as stack:
            logged = [name]
            if self.symbolic_target("HEAD") == name:
                stack.enter_context(self._lock("HEAD"))
                logged.append("HEAD")
            lock = stack.enter_context(self._lock(name))
            self._verify(name, old, new)  # I1
            entry = ReflogEntry(old or NULL_ID, new or NULL_ID, who, message)
            if new is None:
                self._delete(name)
                logged.remove(name)
            else:
                lock.write(new.hex().encode() + b"\n")
            for log in logged:
                self._append_log(log, entry)
            if new is not None:
                self._publish(lock, name)  # I2
        if new is None:
            remove_empty_parents(self._path(name), top=_namespace(self._home(name), name))

    def set_symbolic(self, name: str, target: str) -> None:
        """Makes `name` (usually `HEAD`) stand for the ref `target`, which need not exist yet.

        Raises:
            InvalidInputError: `target` is not a name for a ref.
            ConflictError: Its lock file stays (LOCKED).
        """
        check_ref_name(target)
        with self._lock(name) as lock:
            lock.write(b"ref: " + target.encode() + b"\n")
            self._publish(lock, name)

    def _lock(self, name: str) -> LockFile:
        try:
            return LockFile(self._path(name), top=self._home(name), timeout=self.lock_timeout)
        except NotADirectoryError as err:
            raise self._in_the_way(name, self._parent_ref(name) or name) from err

    def _publish(self, lock: LockFile, name: str) -> None:
        try:
            lock.publish()
        except IsADirectoryError as err:
            raise self._in_the_way(name, name + "/...") from err

    def _check_target(self, name: str, new: ObjectId | None) -> None:
        if new is None:
            return
        kind = self._object_kind(new)
        if kind is None:
            raise NotFoundError(
                f"there is no Git object {short_hex(new)}", kind=ErrorKind.OBJECT_NOT_FOUND
            )
        if name.startswith(BRANCH_PREFIX) and kind != "commit":
            raise InvalidInputError(f"{short_hex(new)} is a {kind}: a branch needs a commit")

    def _verify(self, name: str, old: ObjectId | None, new: ObjectId | None) -> None:
        current = self._read_direct(name)
        if current != old:
            raise _moved(name, old, current)
        if current is None and new is not None:
            self.check_not_in_the_way(name)

    def check_not_in_the_way(self, name: str) -> None:
        """Checks that a ref can be made beside those that there are.

        Raises:
            AlreadyExistsError: Another is named like a folder on its way, or lies below it.
        """
        other = self._parent_ref(name) or next((ref for ref, _ in self.iter(name + "/")), None)
        if other is not None:
            raise self._in_the_way(name, other)

    def _parent_ref(self, name: str) -> str | None:
        parts = name.split("/")
        parents = ("/".join(parts[:depth]) for depth in range(3, len(parts)))
        return next((ref for ref in parents if self._read_direct(ref) is not None), None)

    def _in_the_way(self, name: str, other: str) -> AlreadyExistsError:
        return AlreadyExistsError(
            f"{ref_noun(name)} {shown_ref(name)!r} cannot be made: {shown_ref(other)!r} exists",
            hint="one name cannot be both a ref and a folder of refs; choose another name",
        )

    def _delete(self, name: str) -> None:
        # The lock on packed-refs is held to the end, or a `git pack-refs` beside us could put
        # the ref back there from the loose file that we are about to remove.
        with LockFile(self._packed.path, top=self._common_dir, timeout=self.lock_timeout):
            if name in self._packed.refs():
                # before the loose ref goes: a crash in between must not bring back an old value
                replace_file(self._packed.path, without_ref(self._packed.content(), name))
            self._delete_loose(name)

    def _delete_loose(self, name: str) -> None:
        path, log = self._path(name), self._log_path(name)
        try:
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                path.unlink()
            sync_directory(path.parent)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                log.unlink()
        except OSError as err:
            raise storage_error(err, f"deleting the ref {name!r}") from err
        remove_empty_parents(log, top=_namespace(self._home(name) / "logs", name))

    def _append_log(self, name: str, entry: ReflogEntry) -> None:
        policy = self._log_updates()
        create = policy == "always" or (
            policy == "true" and (name == "HEAD" or name.startswith(_LOGGED))
        )
        append_reflog(self._log_path(name), entry, top=self._home(name), create=create)


def read_branch(common_dir: Path, branch: str) -> ObjectId | None:
    """Returns where a branch is, without opening the repository; None when there is none."""
    refs = RefStore(common_dir, common_dir, object_kind=lambda _: None, log_updates=lambda: "false")
    return refs.read(BRANCH_PREFIX + branch)


def _namespace(top: Path, name: str) -> Path:
    """Returns `refs/heads`, `refs/tags` and so on: directories that stay even when empty."""
    first, second, _ = name.split("/", 2)
    return top / first / second


def _parse_ref(data: bytes) -> ObjectId | str | None:
    """Parses a ref file: an id, the name of another ref, or (None) neither."""
    if data.startswith(_SYMREF):
        name = data[len(_SYMREF) :].strip().decode("utf-8", "surrogateescape")
        return name if name.startswith("refs/") and is_ref_name(name) else None
    match = _HEX_LINE.match(data)
    return None if match is None else ObjectId(bytes.fromhex(match[1].decode()))


def _moved(name: str, old: ObjectId | None, current: ObjectId | str | None) -> RefMovedError:
    noun, shown = ref_noun(name), shown_ref(name)
    if current is None:
        return RefMovedError(f"{noun} {shown!r} does not exist (any more)")
    if old is None:
        return RefMovedError(f"{noun} {shown!r} exists already")
    return RefMovedError(
        f"{noun} {shown!r} was moved by someone else",
        hint=f"look at what changed: git log {short_hex(old)}..{shown}",
    )
