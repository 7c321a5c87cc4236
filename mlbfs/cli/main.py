"""The entry point: parses the command line, runs a command, turns errors into exit codes.

Owns: exit codes, and the only `except MlbfsError` of the project.
Layer: cli.

    0    done
    1    any other failure
    2    wrong usage: an option, an argument, a name that is not acceptable
    3    a check found damage to report, or a merge has conflicts
    130  interrupted
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from mlbfs import __version__
from mlbfs.cli.context import Context
from mlbfs.cli.group import LazyGroup
from mlbfs.cli.render import flush, say, say_error
from mlbfs.errors import (
    CorruptionError,
    ErrorKind,
    InternalError,
    MlbfsError,
    UserError,
    storage_error,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_DONE = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_DAMAGE = 3
EXIT_INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command explains itself: mlbfs COMMAND --help",
)
@click.option("-C", "directory", metavar="DIR", help="Run as if started in DIR")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails")
@click.version_option(__version__, prog_name="mlbfs", message="%(prog)s %(version)s")
@click.pass_obj
def cli(context: Context, directory: str | None, debug: bool) -> None:
    """Git branches as mounted folders, with content in a deduplicating store"""
    context.debug = debug
    if directory is not None:
        context.change_directory(directory)


def main(arguments: Sequence[str] | None = None, context: Context | None = None) -> int:
    """Runs the command line and returns its exit code."""
    _occupy_closed_streams()
    context = context or Context()
    try:
        code = cli.main(arguments, prog_name="mlbfs", obj=context, standalone_mode=False)
        flush()
    except click.ClickException as err:
        err.show()
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        say_error("interrupted", None)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, say) has seen enough. Python would complain again at exit.
        sys.stdout = None
        return EXIT_FAILURE
    except Exception as err:  # the edge: nothing but one line may reach a user
        context.has_failed = True
        code = _report(err, debug=context.debug)
        if context.failure_note is not None:
            say(context.failure_note)
        return code if context.failure_code is None else context.failure_code
    return code if isinstance(code, int) else EXIT_DONE


def _occupy_closed_streams() -> None:
    """Opens /dev/null where a standard stream is closed, so that no file of ours takes its number.

    What a library writes to standard error would end in that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            taken = os.open(os.devnull, os.O_RDWR)  # the lowest free number, so this one
            os.set_inheritable(taken, True)


def _report(err: Exception, *, debug: bool) -> int:
    if isinstance(err, OSError):  # of standard output, perhaps: Python would complain again at exit
        try:
            flush()
        except OSError:
            sys.stdout = None
    if debug:
        traceback.print_exception(err)
    shown = _as_ours(err)
    say_error(shown.message, shown.hint)
    return exit_code(shown)


def _as_ours(err: Exception) -> MlbfsError:
    if isinstance(err, MlbfsError):
        return err
    if isinstance(err, OSError):
        place = f" {err.filename!r}" if err.filename is not None else ""
        return storage_error(err, f"the system refused{place}")
    return InternalError(
        f"{type(err).__name__}: {err}".replace("\n", " "),
        kind=ErrorKind.INTERNAL,
        hint="a mistake in mlbfs: run it again with 'mlbfs --debug' and report what it says",
    )


def exit_code(err: MlbfsError) -> int:
    """Returns the exit code of an error."""
    if isinstance(err, UserError):
        return EXIT_USAGE
    if isinstance(err, CorruptionError):
        return EXIT_DAMAGE
    return EXIT_FAILURE


if __name__ == "__main__":
    sys.exit(main())
