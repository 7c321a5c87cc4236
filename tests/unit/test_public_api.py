"""The public names of `mlbfs`: a small, typed, lazily imported list."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import mlbfs

PUBLIC = [
    "Author",
    "Change",
    "ChangeKind",
    "Commit",
    "DirectoryEntry",
    "EntryKind",
    "ImportResult",
    "ImportSource",
    "MlbfsError",
    "Reader",
    "Repository",
    "Snapshot",
    "Workspace",
    "__version__",
    "commit",
    "init",
    "mounted",
    "open",
]


def test_public_names_are_these() -> None:
    """Adding or removing a public name is a decision, so it is made here too."""
    assert mlbfs.__all__ == PUBLIC
    assert dir(mlbfs) == sorted(PUBLIC)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_public_name_is_where_it_says_and_documented(name: str) -> None:
    """Each name is the object of its home module, with a docstring."""
    value = getattr(mlbfs, name)
    assert inspect.getdoc(value)
    assert value.__module__ == mlbfs._HOMES[name]


def test_unknown_name_is_an_attribute_error() -> None:
    """A mistyped name fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = mlbfs.opne


def test_functions_and_methods_are_annotated() -> None:
    """Whoever calls them gets types."""
    functions = [mlbfs.init, mlbfs.open, mlbfs.mounted, mlbfs.commit]
    for kind in (mlbfs.Repository, mlbfs.Snapshot):
        methods = inspect.getmembers(kind, inspect.isfunction)
        functions += [method for name, method in methods if not name.startswith("_")]
    for function in functions:
        assert "return" in function.__annotations__, function.__qualname__
        assert inspect.getdoc(function), function.__qualname__


def test_import_is_light() -> None:
    """`import mlbfs` and the command line's entry point import none of the heavy libraries."""
    program = (
        "import sys, mlbfs, mlbfs.cli.main;"
        "print(sorted({'pygit2', 'trio', 'pyfuse3', 'lmdb', 'apsw', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
