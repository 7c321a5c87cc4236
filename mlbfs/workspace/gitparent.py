"""The Git process that started this one, and what it was asked to do.

Owns: finding it in `/proc`, and which commands of Git only show things.
Layer: workspace.

Git asks its filter for content in the same words whether it writes a file of the work tree or
makes a temporary one for `git diff`. The command line of the process that asks is all that tells.
What cannot be read or is not known counts as a command that writes files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_ABOVE = 4
"""Between Git and its helper stand a shell, and what a wrapper of mlbfs may be."""

_SHOWING = frozenset({"diff", "format-patch", "log", "show", "whatchanged"})
_PARENT, _START = 1, 19
_TAKES_VALUE = frozenset({"-C", "-c", "--config-env", "--git-dir", "--namespace", "--work-tree"})


class GitProcess(NamedTuple):
    """A running process of Git.

    Attributes:
        pid: Its number.
        words: Its command line, without the program.
    """

    pid: int
    words: list[str]


def git_above(pid: int) -> GitProcess | None:
    """Returns the next process of Git at or above a process, or None if there is none near."""
    for _ in range(_MOST_ABOVE):
        words = _command_line(pid)
        if not words:
            return None
        if words[0].rpartition("/")[2] == "git":
            return GitProcess(pid, words[1:])
        pid = _parent(pid)
    return None


def only_shows(words: list[str], alias: Callable[[str], str | None]) -> bool:
    """Returns whether a command of Git shows things and writes no file of a work tree.

    Args:
        words: Its command line, without the program.
        alias: Returns what an alias of the configuration stands for.
    """
    verb = _verb(words)
    if verb is None or verb in _SHOWING:
        return verb is not None
    meant = alias(verb)
    if meant is None or meant.startswith("!"):  # a command of the shell starts a Git of its own
        return False
    import shlex  # takes longer than all the rest, and merging needs none of it

    try:
        return _verb(shlex.split(meant)) in _SHOWING
    except ValueError:
        return False


def _verb(words: list[str]) -> str | None:
    """Returns the command among the words, behind the options of Git itself."""
    rest = iter(words)
    for word in rest:
        if word in _TAKES_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _command_line(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            data = file.read()
    except OSError:  # it has ended, or is another user's
        return []
    return data.decode("utf-8", "surrogateescape").split("\0")[:-1]


def start_time(pid: int) -> int | None:
    """Returns when a process was started, in ticks of the system; None if it has ended.

    Together with its number this names a process for ever.
    """
    found = _status(pid)
    return int(found[_START]) if found else None


def _parent(pid: int) -> int:
    found = _status(pid)
    return int(found[_PARENT]) if found else 0


def _status(pid: int) -> list[bytes]:
    """Returns the fields of proc(5) `stat` behind the name, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:  # it has ended
        return []
