"""The table of commands, imported one at a time: start-up is part of how fast a mount is.

Owns: which commands there are and the order in which help shows them.
Layer: cli.
"""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "init": "Make or adopt a repository",
    "import": "Take files or folders straight into a branch",
    "mount": "Mount a branch, tag or commit on a folder",
    "switch": "Go to another branch in a mount, with the unsaved work",
    "umount": "Unmount a folder; unsaved work is kept",
    "mounts": "List the mounts of this repository",
    "workspaces": "List or delete what holds unsaved work of branches",
    "status": "Show what changed in a mounted branch",
    "diff": "Show what changed, in a mount or between two refs",
    "commit": "Save the changes of a mounted branch",
    "restore": "Drop the changes of files or folders",
    "undo": "List savepoints of unsaved work, or bring one back",
    "merge": "Merge a branch, tag or commit into a branch",
    "resolve": "Settle the conflicts of a merge",
    "copy": "Copy files or folders of any ref to a branch",
    "cherry-pick": "Bring the change of one commit to a branch",
    "revert": "Undo the change of one commit on a branch",
    "branch": "List, make or delete branches",
    "tag": "List, make or delete tags",
    "log": "Show the history of a ref or a path",
    "ls": "List a folder of any ref, without a mount",
    "cat": "Write a file of any ref to standard output",
    "export": "Copy files of any ref to a folder",
    "install": "Let stock Git use mlbfs: content, merging, diffs",
    "lfs-fetch": "Put content where Git LFS looks for it",
    "stats": "Show sizes, and what deduplication and compression save",
    "fsck": "Check the repository, and repair it",
    "gc": "Give back the space of what nothing refers to any more",
    "doctor": "Check this machine, and say how to mend what is missing",
    "completion": "Write the completion script of a shell",
}
"""Command and one line of help, in the order of a first session."""

HIDDEN = {
    "filter-process": "Filter contents for stock Git",
    "merge-driver": "Merge one file for stock Git",
    "pre-push": "Bring content along with a push of stock Git",
    "textconv": "Summarize one file for 'git diff'",
}
"""Commands that Git starts, by what 'mlbfs install' has written; nobody types them."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Returns the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports one command."""
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
        module = import_module(f"mlbfs.cli.commands.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolves a command; a mistyped one is answered with what comes near."""
        known = (
            args[0] in {*COMMANDS, *HIDDEN} or ctx.resilient_parsing
        )  # the latter is the shell, completing
        near = None if known else _near(args[0])
        if near is not None:
            ctx.fail(f"there is no command {args[0]!r}; did you mean {near!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the table without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _near(name: str) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, COMMANDS, n=1)), None)


def command(name: str, **more: Any) -> Callable[[Callable[..., Any]], click.Command]:  # noqa: ANN401 - click's own
    """Decorates the function of one command; its short help comes from the table."""
    if name in HIDDEN:
        return click.command(name, short_help=HIDDEN[name], hidden=True, **more)
    return click.command(name, short_help=COMMANDS[name], **more)
