"""Makes the pages of docs/cli/ from the commands themselves.

Owns: the form of a page. `make docs` writes them and a test compares them.
Layer: cli.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from mlbfs.cli.group import COMMANDS
from mlbfs.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEX = """\
# Command reference

Written by `make docs` from the commands themselves.

    mlbfs [-C DIR] [--debug] COMMAND ...

`-C DIR` runs as if started in DIR, as in Git. `--debug` shows a traceback when something fails.
The repository is found by `GIT_DIR`, by the mount that the working folder lies in, or upwards from
there. `git mlbfs COMMAND` is the same as `mlbfs COMMAND`.

Data goes to standard output, words for people and progress (on a terminal only) to standard error.
A path with a control character, a double quote or a backslash is written in double quotes as Git
does (with `core.quotePath=false`), to a terminal and to a pipe; control characters of messages are
written as `\\x1b`. What is in a file goes out as it is, but the lines of a diff on a terminal have
theirs as `\\x1b`, too.
`--json` writes one JSON document, with names and messages exactly. A path that is not UTF-8
has its odd bytes as `\\udcXX` in JSON, which Python's `os.fsencode` turns back.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | any other failure |
| 2 | wrong usage: an option, an argument, a name that is not acceptable |
| 3 | a check found damage to report, damage was met, or a merge has conflicts |
| 130 | interrupted |

| Command | |
|---|---|
"""


def pages() -> dict[str, str]:
    """Returns the pages by file name."""
    rows = "".join(f"| [{name}]({name}.md) | {text} |\n" for name, text in COMMANDS.items())
    return {"index.md": _INDEX + rows} | {f"{name}.md": _page(name) for name in COMMANDS}


def _page(name: str) -> str:
    root = click.Context(cli, info_name="mlbfs")
    command = cli.get_command(root, name)
    assert command is not None, "the table names commands that are there"
    context = click.Context(command, info_name=name, parent=root)
    usage = " ".join(["mlbfs", name, *command.collect_usage_pieces(context)])
    parts = [f"# mlbfs {name}", f"    {usage}", *_paragraphs(command.help or "")]
    options = list(_options(command))
    if options:
        parts.append("\n".join(["| Option | |", "|---|---|", *options]))
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Yields the paragraphs of a help text; those after a backspace keep their lines."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield "\n".join("    " + line for line in paragraph[2:].split("\n"))
        else:
            yield paragraph


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = ", ".join(f"`{name}`" for name in parameter.opts)
            value = "" if parameter.is_flag else f" `{_metavar(parameter)}`"
            yield f"| {names}{value} | {parameter.help} |"


def _metavar(option: click.Option) -> str:
    return option.metavar or option.type.name.upper()
