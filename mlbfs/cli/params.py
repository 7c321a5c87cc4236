"""Options and arguments that several commands share, with their shell completion.

Owns: how `REF[:PATH]` is read, and what the shell is told about refs.
Layer: cli.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mlbfs.errors import NotFoundError

if TYPE_CHECKING:
    from mlbfs.repository import Repository

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs")

HostPath = click.Path(path_type=Path)
"""A file or folder of the host; whether it exists is for the command to say."""


class RefType(click.ParamType[str]):
    """The name of a branch, tag or commit; completes branches and tags."""

    name = "ref"

    def __init__(self, *, branches_only: bool = False) -> None:
        self._branches_only = branches_only

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Returns the refs that begin with what was typed."""
        del ctx, param
        # The shell runs this outside of any command, so the context is made here.
        from mlbfs.cli.context import Context

        try:
            with Context().repository() as repository:
                refs = repository.branches()
                if not self._branches_only:
                    refs += repository.tags()
        except NotFoundError:  # outside of a repository there is nothing to propose
            return []
        return [CompletionItem(ref.short) for ref in refs if ref.short.startswith(incomplete)]


REF: Any = RefType()
BRANCH: Any = RefType(branches_only=True)


@dataclass(frozen=True, slots=True)
class RefPath:
    """A ref and a path inside its tree; b"" is the root."""

    spec: str
    path: bytes


def split_ref_path(text: str, default: str) -> RefPath:
    """Splits `REF:PATH`, `REF` or `:PATH`, as in `git show`; an empty ref is the default."""
    from mlbfs.workspace.scanner import parse_tree_path

    spec, _, path = text.partition(":")
    return RefPath(spec or default, parse_tree_path(path))


def guess_ref_path(repository: Repository, text: str, default: RefPath | None) -> RefPath:
    """Reads one argument that may be a ref or a path of the default ref, if any; a ref wins.

    Raises:
        NotFoundError: It is neither.
    """
    from mlbfs.workspace.scanner import parse_tree_path

    if ":" in text:
        return split_ref_path(text, "HEAD" if default is None else default.spec)
    try:
        repository.resolve(text)
    except NotFoundError:
        if default is None:
            raise
        # As the shell means it: seen from the folder, `..` included, never above the root.
        seen = os.path.normpath(b"/" + default.path + b"/" + os.fsencode(text))
        path = parse_tree_path(seen)
        if not repository.has_path(default.spec, path):
            raise
        return RefPath(default.spec, path)
    return RefPath(text, b"")


def relative_tree_path(place: Path, root: Path) -> bytes:
    """Returns where in the tree of a mount at `root` a host path lies."""
    relative = os.path.relpath(place, root)
    return b"" if relative == "." else os.fsencode(relative)
