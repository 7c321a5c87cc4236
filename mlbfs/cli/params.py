"""Options and arguments that several commands share, with their shell completion.

Owns: how `REF[:PATH]` is read, and what may stand where.
Layer: cli.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mlbfs.cli.complete import folders, refs
from mlbfs.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from mlbfs.repository import Repository

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs")


class FolderType(click.ParamType[Path]):
    """A file or folder of the host; whether it exists is for the command to say.

    It is not touched: what is mounted there may not answer.
    """

    name = "path"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Returns the path."""
        del param, ctx
        return Path(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Returns folders."""
        del param
        return folders(ctx, incomplete)


class SourceType(click.ParamType[str]):
    """A file or folder to read, as it was typed: a slash at its end means something."""

    name = "source"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Lets the shell propose files and folders."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


class WorkPathType(click.ParamType[Path]):
    """A file or folder of a working copy; it may be deleted there."""

    name = "path"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Returns the path; an empty one, from an unset variable say, is none."""
        if not str(value):
            self.fail("an empty path names nothing; '.' is the working folder", param, ctx)
        return Path(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Lets the shell propose files and folders."""
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


class RefType(click.ParamType[str]):
    """The name of a branch, tag or commit; completes branches and tags."""

    name = "ref"

    def __init__(self, *, branches_only: bool = False) -> None:
        self._branches_only = branches_only

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Returns the refs that begin with what was typed."""
        del param
        return refs(ctx, incomplete, tags=not self._branches_only)


class NameType(click.ParamType[str]):
    """The name of a branch or tag to make or, with --delete, of one that is there."""

    name = "name"

    def __init__(self, *, tags: bool) -> None:
        self._tags = tags

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Returns the names that may be deleted; a new one cannot be known."""
        del param
        if not ctx.params.get("delete"):
            return []
        return refs(ctx, incomplete, branches=not self._tags, tags=self._tags)


class WordsType(click.ParamType[str]):
    """Refs and folders by their place among the words: `REF DIR` of mount, `DIR | REF REF`."""

    name = "ref"

    def __init__(self, *places: str) -> None:
        """Takes what may stand at each place: "ref", "branch", "folder", or some of them."""
        self._places = places

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Returns what may stand at the place that was reached."""
        place = len(ctx.params.get(param.name or "") or ())
        if ctx.params.get("everything"):  # mount --all takes no ref
            place += 1
        kinds = self._places[place].split() if place < len(self._places) else []
        found = []
        if "folder" in kinds:  # first, because bash forgets what it was told before
            found += folders(ctx, incomplete)
        if "ref" in kinds or "branch" in kinds:
            found += refs(ctx, incomplete, tags="ref" in kinds)
        return found


HostPath: Any = FolderType()
SOURCE: Any = SourceType()
WORK_PATH: Any = WorkPathType()
REF: Any = RefType()
BRANCH: Any = RefType(branches_only=True)
BRANCH_NAME: Any = NameType(tags=False)
TAG_NAME: Any = NameType(tags=True)
MOUNT_WORDS: Any = WordsType("ref", "folder")
DIFF_WORDS: Any = WordsType("ref folder", "ref")
SWITCH_WORDS: Any = WordsType("branch folder", "branch")


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


def check_message(message: str | None) -> None:
    """Checks that a message that was given says something.

    Raises:
        InvalidInputError: It is empty.
    """
    if message is not None and not message.strip():
        raise InvalidInputError("the commit message is empty", hint="say what changed, and why")
