"""Who sends a request: which command of Git, if it is one.

Owns: reading a command line of Git from `/proc`.
Layer: mount. Standard library only.

The process waits for the answer meanwhile, so its id cannot have passed to another one. A process
of another process namespace has no id here; of that, nothing is known.
"""

from __future__ import annotations

from pathlib import Path

_WITH_VALUE = frozenset(
    b"-C -c --config-env --exec-path --git-dir --namespace --super-prefix --work-tree".split()
)
"""Options of `git` whose value may be the next argument."""

_PREFIX = b"git-"


def git_command_of(pid: int) -> bytes | None:
    """Returns the command of Git that a process runs, such as `status`; None if it is another."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # gone, or not to be seen from here
        return None
    return parse_git_command(line.split(b"\0")[:-1])


def parse_git_command(arguments: list[bytes]) -> bytes | None:
    """Returns the command in a command line of Git; None if it is not Git's, or has none."""
    if not arguments:
        return None
    program = arguments[0].rpartition(b"/")[2]
    if program.startswith(_PREFIX):
        return program.removeprefix(_PREFIX)
    if program != b"git":
        return None
    rest = iter(arguments[1:])
    for argument in rest:
        if not argument.startswith(b"-"):
            return argument
        if argument in _WITH_VALUE:
            next(rest, None)
    return None
