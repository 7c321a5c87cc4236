"""Exit codes, in process: 0 done, 1 other, 2 usage, 3 damage, 130 interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlbfs import errors
from mlbfs.cli import main as entry
from mlbfs.cli.group import COMMANDS
from mlbfs.cli.main import cli as root
from mlbfs.cli.main import exit_code, main

if TYPE_CHECKING:
    from conftest import Cli

MLBFS = Path(sys.executable).with_name("mlbfs")

CODES = {
    errors.UserError: 2,
    errors.InvalidInputError: 2,
    errors.UnsupportedError: 2,
    errors.NotFoundError: 1,
    errors.AlreadyExistsError: 1,
    errors.ConflictError: 1,
    errors.ReadOnlyError: 1,
    errors.StorageError: 1,
    errors.StoreFullError: 1,
    errors.CorruptionError: 3,
    errors.FormatError: 3,
    errors.FormatVersionError: 1,
    errors.InternalError: 1,
}


@pytest.mark.parametrize("kind", CODES)
def test_each_error_has_its_code(kind: type[errors.MlbfsError]) -> None:
    """The table of the documentation."""
    assert exit_code(kind("x")) == CODES[kind]


def _raising(monkeypatch: pytest.MonkeyPatch, err: BaseException) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise err

    monkeypatch.setattr(entry.cli, "main", refuse)


def test_error_is_one_line_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and what to type."""
    _raising(monkeypatch, errors.NotFoundError("no branch 'x'", hint="try 'y'"))
    assert main([]) == 1
    assert capsys.readouterr().err == "mlbfs: no branch 'x'\nhint: try 'y'\n"


def test_interruption_has_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As shells expect it."""
    _raising(monkeypatch, KeyboardInterrupt())
    assert main([]) == 130
    assert capsys.readouterr().err == "mlbfs: interrupted\n"


def test_a_mistake_of_ours_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that asks for a report; errors of the system say which file."""
    _raising(monkeypatch, ZeroDivisionError("division\nby zero"))
    assert main([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("mlbfs: ZeroDivisionError: division by zero\nhint: a mistake in mlbfs")
    _raising(monkeypatch, PermissionError(13, "Permission denied", "/x"))
    assert main([]) == 1
    assert capsys.readouterr().err == "mlbfs: the system refused '/x': Permission denied\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Help says what a command does in one line, and describes every option."""
    assert main([name, "--help"]) == 0
    assert capfd.readouterr().out.startswith(f"Usage: mlbfs {name} ")
    command = root.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name


@pytest.mark.slow
def test_closed_pipe_is_no_failure_of_the_reader(cli: Cli, repository) -> None:
    """`mlbfs log | head` complains about nothing."""
    process = cli.start("ls", "-r", "v1", cwd=repository)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


@pytest.mark.slow
def test_a_closed_standard_output_is_an_error(cli: Cli, repository) -> None:
    """What could not be written is not taken for an empty answer; a full one is told of once."""
    for target, words in (("&-", "standard output is closed"), ("/dev/full", "No space left")):
        done = subprocess.run(
            ["bash", "-c", f"{MLBFS} ls v1 >{target}"],
            cwd=repository,
            env=cli.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Exception ignored" not in done.stderr


@pytest.mark.slow
def test_no_file_takes_the_place_of_a_closed_stream(cli: Cli, repository) -> None:
    """With standard error closed, what is said there goes nowhere, and not into the store."""
    script = f"{MLBFS} import ../data/images -b other 2>&- && {MLBFS} fsck"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=repository,
        env=cli.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done


@pytest.mark.slow
def test_module_runs_as_a_program(cli: Cli) -> None:
    """`python -m mlbfs` is the same command line."""
    done = subprocess.run(
        [sys.executable, "-m", "mlbfs", "--version"],
        env=os.environ | cli.environment,
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"mlbfs ")
