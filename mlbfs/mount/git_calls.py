"""Who asks: which command of Git a process runs, and what it wants of an index.

Owns: reading a command line of Git from `/proc`, and the list of commands that an index of ours
answers truly.
Layer: mount. Standard library only.

The process waits for the answer meanwhile, so its id cannot have passed to another one. A process
of another process namespace has no id here; of that, nothing is known.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple

_WITH_VALUE = frozenset(
    b"-C -c --config-env --exec-path --git-dir --namespace --super-prefix --work-tree".split()
)
"""Options of `git` whose value may be the next argument."""

_PREFIX = b"git-"


class GitCall(NamedTuple):
    """A call of Git: `command` with the arguments behind it."""

    command: bytes
    arguments: list[bytes]


class Question(Enum):
    """What a command wants to know of an index."""

    TRACKED = "tracked"
    """Which paths the commit has. Nothing is ever staged here, so the tree of the commit tells."""

    CHANGED = "changed"
    """Which of these have changed since. The workspace tells."""


_TRACKED = frozenset((b"check-ignore", b"fetch"))
"""`check-ignore` never calls a tracked path ignored; MLflow runs it before it records the commit of
a run. `fetch` looks for submodules."""

_LISTING = frozenset(
    b"-c --cached -s --stage -z --full-name --error-unmatch --exclude-standard".split()
)
"""Options of `ls-files` that ask for no more than what is tracked."""

_NAMING = frozenset(b"--quiet --raw --name-only --name-status -s --no-patch".split())
"""Formats of a difference that say which files have changed, not how: how would be told of the
pointers that stand in Git for most content."""

_PLAIN = frozenset(
    b"--cached --staged --full-index --exit-code -z --no-renames --no-ext-diff --no-color"
    b" --no-abbrev --ignore-submodules".split()
)
_PLAIN_VALUED = (b"--abbrev=", b"--diff-filter=", b"--ignore-submodules=")
_NO_UNTRACKED = frozenset((b"-uno", b"--untracked-files=no"))
_SHORT = frozenset(b"-s --short -b --branch --long -z --porcelain --no-renames".split())
_SHORT_VALUED = (b"--porcelain=", b"--ignore-submodules")


def git_call_of(pid: int) -> GitCall | None:
    """Returns the call of Git that a process is; None if it is another program."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone, or not to be seen from here
        return None
    return parse_git_call(line.split(b"\0")[:-1])


def parse_git_call(line: list[bytes]) -> GitCall | None:
    """Returns the call in a command line of Git; None if it is not Git's, or has no command."""
    if not line:
        return None
    program = line[0].rpartition(b"/")[2]
    if program.startswith(_PREFIX):
        return GitCall(program.removeprefix(_PREFIX), line[1:])
    if program != b"git":
        return None
    place = 1
    while place < len(line) and line[place].startswith(b"-"):
        place += 2 if line[place] in _WITH_VALUE else 1
    return GitCall(line[place], line[place + 1 :]) if place < len(line) else None


def question_of(call: GitCall | None) -> Question | None:
    """Returns what a call asks of an index; None if none of ours would make it answer truly."""
    if call is None:
        return None
    if call.command in _TRACKED:
        return Question.TRACKED
    options = set(_options(call.arguments))
    if call.command == b"ls-files":
        return Question.TRACKED if options <= _LISTING else None
    return Question.CHANGED if _asks_for_changes(call.command, options) else None


def _asks_for_changes(command: bytes, options: set[bytes]) -> bool:
    if command == b"describe":  # looks for changes with --dirty and --broken
        return True
    if command == b"status":  # without new files, for which Git would walk through everything
        return bool(options & _NO_UNTRACKED) and all(
            option in _SHORT | _NO_UNTRACKED or option.startswith(_SHORT_VALUED)
            for option in options
        )
    if command == b"diff" and not options & _NAMING:
        return False
    return command in (b"diff", b"diff-index", b"diff-files") and all(
        option in _NAMING | _PLAIN or option.startswith(_PLAIN_VALUED) for option in options
    )


def _options(arguments: list[bytes]) -> list[bytes]:
    """Returns the options among arguments, up to the `--` that ends them."""
    end = arguments.index(b"--") if b"--" in arguments else len(arguments)
    return [argument for argument in arguments[:end] if argument.startswith(b"-")]
