"""Moves an open workspace to another commit with what changed in it, or says what is in the way.

Owns: which changes can be carried over, and what counts as one.
Layer: workspace.

A row is a change if a commit would record it, or if it is something that no commit has: a new
folder, a pipe, an ignored file. It is none if a file was written or touched and came out as the
base commit has it; such a row gives way like any that was committed.

Invariants:
  Y3. Changes are carried over if the other commit has, at each of their paths, what the base commit
      has there, and the folders that they lie in.
  Y4. A file that is written while the changes are told apart counts as changed: the generation
      counts up before, so that every later write leaves its mark.

Concurrency: no commit is under way. The workspace's lock is held to collect and to move; files are
hashed without it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbfs.errors import ConflictError, ErrorKind
from mlbfs.ids import ObjectId
from mlbfs.workspace.checkout import Checkout, Stale
from mlbfs.workspace.dirty import collect_items
from mlbfs.workspace.rowmatch import match_rows
from mlbfs.workspace.snapshot import NS_PER_S, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mlbfs.git.commits import Commit
    from mlbfs.workspace.core import Core
    from mlbfs.workspace.dirty import Item
    from mlbfs.workspace.status import StatusReader


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of moving a workspace.

    Attributes:
        stale: What is not true any more; None when it stayed where it was.
        carried: Paths of changes that stand on the new commit now.
        in_the_way: Paths of changes that the other commit has something else for.
    """

    stale: Stale | None
    carried: list[bytes] = field(default_factory=list)
    in_the_way: list[bytes] = field(default_factory=list)


class Mover:
    """Moves one workspace between commits."""

    def __init__(self, core: Core, status: StatusReader) -> None:
        self._core = core
        self._status = status

    def move(
        self,
        old: Commit,
        new: Commit,
        *,
        only_clean: bool = False,
        settings: Mapping[str, bytes | str] | None = None,
        on_moved: Callable[[], None] = lambda: None,
    ) -> Moved:
        """Puts the workspace on another commit, unless a change is in the way.

        Args:
            old: The commit that it stands on.
            new: The commit to stand on.
            only_clean: Stay if there is anything that a commit would record.
            settings: Written down in the same transaction.
            on_moved: Called under the lock once it stands on the new commit.

        Raises:
            VfsError: The device refused; nothing changed.
        """
        core = self._core
        base = Snapshot(core.source, old)
        since, differing = self._tell_apart(base)
        if only_clean and differing:
            return Moved(None, in_the_way=sorted(differing))
        self._warm_up(old, new)
        with core.reading():
            items = [item for item in collect_items(core) if not item.inside]
            changed = [item for item in items if self._is_change(item, base, differing, since)]
            if only_clean and any(self._is_fresh(item, since) for item in changed):
                return Moved(None, in_the_way=[item.path for item in changed])
            blocked = blocked_paths(base, Snapshot(core.source, new), changed)
            if blocked:
                return Moved(None, in_the_way=blocked)
            paths = [item.path for item in changed]
            stale = Checkout(core, old, new, frozenset(paths)).run(settings=settings)
            on_moved()
            return Moved(stale, carried=paths)

    def _tell_apart(self, base: Snapshot) -> tuple[int, set[bytes]]:
        """Returns the generation before now (Y4), and the paths that differ from the base."""
        core = self._core
        with core.reading():
            since = core.generation
            if not core.overlay.has_changes(core.committed):
                return since, set()
            with core.changing():
                core.overlay.set("generation", since + 1)
            core.generation = since + 1
        return since, {change.path for change in self._status.read(base).changes}

    def _is_change(self, item: Item, base: Snapshot, differing: set[bytes], since: int) -> bool:
        before = base.get(item.path)
        if item.node is None:
            return before is not None
        if before is None or before.is_directory or item.is_folder or not item.is_keepable:
            return True
        return item.path in differing or self._is_fresh(item, since)

    def _is_fresh(self, item: Item, since: int) -> bool:
        """Returns whether something was changed after the changes were told apart (Y4)."""
        if item.entry.gen > since:
            return True
        node = item.node
        return node is not None and (node.gen > since or bool(self._core.writers[node.ino]))

    def _warm_up(self, old: Commit, new: Commit) -> None:
        """Reads folders that differ, so that they are in memory while the lock is held.

        Best effort: no more folders than are known, those near the root first.
        """
        source = self._core.source
        time_ns = new.committer.time * NS_PER_S
        pairs = deque([(old.tree, new.tree)])
        for _ in range(len(self._core.table)):
            if not pairs:
                return
            before, after = (source.directory(tree, time_ns=time_ns) for tree in pairs.popleft())
            for stretch in match_rows(before.rows(), after.rows()):
                if stretch.is_equal or stretch.old is None or stretch.new is None:
                    continue
                left, right = before.entry(stretch.old), after.entry(stretch.new)
                if left.is_directory and right.is_directory:
                    pairs.append((ObjectId(left.content), ObjectId(right.content)))


SHOWN = 20
"""Paths that a message names; the rest is counted."""


def in_the_way(who: str, paths: list[bytes]) -> ConflictError:
    """Returns the error for changes that cannot be carried over.

    Args:
        who: Begins the sentence: whose side has other things there.
        paths: Where something changed on both sides.
    """
    shown = ", ".join(repr(path.decode(errors="backslashreplace")) for path in paths[:SHOWN])
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ConflictError(
        f"{who} something else at paths that changed here: {shown}{more}",
        kind=ErrorKind.CHANGES_IN_THE_WAY,
        hint="keep both: 'mlbfs switch --create NAME' puts your changes on a branch of their own; "
        "or drop yours: 'mlbfs restore PATH'",
    )


def blocked_paths(old: Snapshot, new: Snapshot, changed: Iterable[Item]) -> list[bytes]:
    """Returns the paths of changes that cannot stand on another commit as they are (Y3)."""
    blocked = []
    folders: dict[bytes, bool] = {b"": True}
    for item in changed:
        above = item.path.rpartition(b"/")[0]
        if old.get(item.path) != new.get(item.path) or not _has_folder(old, new, above, folders):
            blocked.append(item.path)
    return blocked


def _has_folder(old: Snapshot, new: Snapshot, path: bytes, known: dict[bytes, bool]) -> bool:
    """Returns whether a folder that was there still is, and nothing else is where it stands."""
    found = known.get(path)
    if found is None:
        before, after = old.get(path), new.get(path)
        is_gone = after is None and before is not None and before.is_directory
        is_other = after is not None and not after.is_directory
        found = known[path] = not (is_gone or is_other)
    return found
