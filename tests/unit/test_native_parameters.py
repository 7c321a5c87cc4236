"""The constants compiled into the native module are those of the Python side."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import xxhash

from mlbfs import limits
from mlbfs.store import chunker, codec, recordformat, twin

pytestmark = pytest.mark.native

STUB = Path(twin.__file__).parents[1] / "_native.pyi"


@pytest.fixture
def native():
    return importlib.import_module("mlbfs._native")


def test_constants_are_equal(native):
    """Every constant the native module reports is found in Python, with the same value."""
    modules = (limits, chunker, codec, recordformat, twin)
    for name, value in native.parameters().items():
        homes = [module for module in modules if hasattr(module, name)]
        assert homes, name
        assert {value} == {getattr(module, name) for module in homes}, name


def test_every_checksum_variant_is_xxh3(native):
    """Portable and wide code give what the reference library gives, at every length class."""
    data = bytes(i * 7 % 251 for i in range(5000))
    for length in (0, 1, 3, 4, 8, 9, 16, 17, 128, 129, 192, 240, 241, 1024, 1025, 4952):
        values = native.checksums(data[:48], data[48 : 48 + length])
        assert {xxhash.xxh3_64(data[: 48 + length]).intdigest()} == set(values)


def test_the_stub_names_what_the_module_has(native):
    """Functions and parameter names of _native.pyi are those of the built module."""
    stub = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    built = {
        name: re.findall(r"(\w+): ", function.__doc__.split("->")[0])
        for name, function in vars(native).items()
        if type(function).__name__ == "nb_func"
    }
    assert stub == built


def test_twin_has_every_kernel():
    """Whatever `kernels` exports exists in pure Python too."""
    kernels = importlib.import_module("mlbfs.store.kernels")
    names = set(kernels.__all__) - {"IMPLEMENTATION"}
    assert all(hasattr(twin, name) for name in names)
    assert kernels.IMPLEMENTATION == "native"


def test_without_the_module_the_twin_is_used(monkeypatch):
    """A missing native module is no error: every name comes from the twin."""
    monkeypatch.setitem(sys.modules, "mlbfs._native", None)
    spec = importlib.util.find_spec("mlbfs.store.kernels")
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert fresh.IMPLEMENTATION == "python"
    assert fresh.cut_points is twin.cut_points
