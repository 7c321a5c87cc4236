"""The documents of MLflow's folder: YAML, as MLflow writes it.

Owns: what is read, and what is refused: whatever is no mapping, has a key twice, refers to parts of
itself (which may unpack to a million times its size), or is nested deeper than 100 levels.
Layer: merge. Pure.
"""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from mlbfs.merge.unmergeable import UnmergeableError

MAX_SIZE = 4 << 20
"""Bytes of a document; those of MLflow have some hundreds."""

_MAX_DEPTH = 100

Document = dict[str, Any]


class MalformedYamlError(UnmergeableError):
    """A document cannot be read; `where` is its side and place."""


def parse_document(data: bytes, side: str) -> Document:
    """Returns a document; no bytes are an empty one.

    Args:
        data: Its bytes.
        side: What it is called in an error.

    Raises:
        MalformedYamlError: It is refused; has the parser's words.
    """
    if len(data) > MAX_SIZE:
        raise MalformedYamlError(f"a document of {len(data)} bytes is too long", side)
    try:
        loader = _Loader(data.decode("utf-8"), side)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        raise MalformedYamlError(f"not YAML: {err.problem}", side + place) from err
    except (yaml.YAMLError, ValueError, OverflowError) as err:
        raise MalformedYamlError(f"not YAML: {err}".replace("\n", " "), side) from err
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MalformedYamlError("not a mapping with names as keys", side)
    return value


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # the library has no types
    """Reads one document, and refuses what is told above while it reads."""

    def __init__(self, text: str, side: str) -> None:
        super().__init__(text)
        self._side = side
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - those of the library
        """Reads a part of the document; deeper ones within it."""
        if self.check_event(yaml.AliasEvent):
            self._refuse("a reference to another part of the document", self.peek_event())
        self._depth += 1
        if self._depth > _MAX_DEPTH:  # what the parser needs for it grows with its square
            self._refuse(f"nested deeper than {_MAX_DEPTH} levels", self.peek_event())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:  # noqa: ANN401 - those of the library
        """Reads a mapping, whose keys are all different."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self._refuse(f"the key {key.value!r} is there twice", key)
                seen.add(key.value)
        return node

    def _refuse(self, message: str, found: Any) -> NoReturn:  # noqa: ANN401 - an event or a node
        raise MalformedYamlError(message, f"{self._side}, line {found.start_mark.line + 1}")


def encode_document(document: Document) -> bytes:
    """Returns a document as MLflow writes it."""
    text = yaml.safe_dump(document, default_flow_style=False, allow_unicode=True, sort_keys=True)
    return str(text).encode("utf-8")
