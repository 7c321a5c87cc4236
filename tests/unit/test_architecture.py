"""Proves the layer table of docs/architecture.md by walking the imports of every module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mlbfs"

LAYERS = ("cli", "api", "mount", "repository", "workspace", "merge", "git", "store", "leaves")
"""From the edge down: a module imports from its own layer or from one further right."""

LEAVES = {"errors", "ids", "limits", "_native"}
API = {"api", "livemounts", "workplace"}

LIBRARIES = {
    "pyfuse3": {"mount"},
    "trio": {"mount"},
    "lmdb": {"store"},
    "pygit2": {"git"},
    "apsw": {"workspace", "merge"},
    "numpy": {"merge"},
    "yaml": {"merge"},
    "click": {"cli"},
    "rich": {"cli"},
}
"""The layers that alone may import a library."""

EDGE_ONLY = {"os.environ", "os.getenv", "os.environb", "Path.home", "os.get_terminal_size"}
"""What is read in cli/ only: the environment, the home folder and the terminal."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    return ".".join(parts)


def _layer(module: str) -> str | None:
    """Returns the layer of a module; None for the package itself, which only re-exports."""
    parts = module.split(".")
    if len(parts) == 1:
        return None
    head = parts[1]
    if head == "__main__":
        return "cli"
    if head in API:
        return "api"
    return "leaves" if head in LEAVES else head


def _imports(tree: ast.AST) -> list[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_imports_only_its_own_layer_or_lower(path: Path) -> None:
    """A module never imports from a layer above its own, nor a library of another layer."""
    layer = _layer(_name(path))
    if layer is None:
        return
    assert layer in LAYERS, f"{_name(path)} belongs to no layer of the table"
    for name in _imports(ast.parse(path.read_text())):
        library = name.split(".")[0]
        if library != "mlbfs":
            allowed = LIBRARIES.get(library)
            assert allowed is None or layer in allowed, f"{library} is not for {layer}/"
            continue
        target = _layer(name)
        if name == "mlbfs.__version__":
            continue
        assert target in LAYERS, f"{name}: import the module that defines it"
        assert LAYERS.index(target) >= LAYERS.index(layer), f"{layer} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_environment_home_and_terminal_are_read_in_cli_only(path: Path) -> None:
    """Below the command line nothing depends on who runs the program or where."""
    if _layer(_name(path)) in (None, "cli"):
        return
    tree = ast.parse(path.read_text())
    used = {_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & EDGE_ONLY
    assert not any(name.endswith((".expanduser", ".isatty")) for name in used)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_has_a_docstring(path: Path) -> None:
    """Every file says what it is."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_table_equals_the_figure_in_the_docs() -> None:
    """The layers of this test and of docs/architecture.md are the same list."""
    figure = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    names = [
        line.split()[0].removesuffix("/").removesuffix(".py")
        for line in figure.split("\n")
        if line and not line[0].isspace()
    ]
    assert [*LAYERS[:-1], "errors"] == names[:-1]


def test_only_main_catches_the_base_error() -> None:
    """`except MlbfsError` stands in cli/main.py alone: errors are translated once per edge."""
    for path in (PACKAGE / "cli").rglob("*.py"):
        if path.name == "main.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                assert _dotted(node.type) != "MlbfsError", path
