"""The documents of MLflow's folder: YAML, as MLflow writes it.

Owns: what is read, and what is refused: whatever is no mapping, has a key twice, refers to parts of
itself (which may unpack to a million times its size), or is nested deeper than 100 levels.
Layer: merge. Pure.
"""

from __future__ import annotations

from typing import Any

import yaml

from mlbfs.errors import FormatError

MAX_SIZE = 4 << 20
"""Bytes of a document; those of MLflow have some hundreds."""

_MAX_DEPTH = 100

Document = dict[str, Any]


class MalformedYamlError(FormatError):
    """A document cannot be read; `where` is its side and place."""

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


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
        text = data.decode("utf-8")
        _check(text, side)
        value = yaml.safe_load(text)
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


def _check(text: str, side: str) -> None:
    """Refuses deep nesting, references, and keys that are there twice."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:  # what the parser needs for it grows with its square
            raise MalformedYamlError(f"nested deeper than {_MAX_DEPTH} levels", side)
        if isinstance(event, yaml.AliasEvent):
            place = f"{side}, line {event.start_mark.line + 1}"
            raise MalformedYamlError("a reference to another part of the document", place)
    nodes = [yaml.compose(text, Loader=yaml.SafeLoader)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen if isinstance(key, yaml.ScalarNode) else False:
                    place = f"{side}, line {key.start_mark.line + 1}"
                    raise MalformedYamlError(f"the key {key.value!r} is there twice", place)
                seen.add(str(key.value))
                nodes.append(value)
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def encode_document(document: Document) -> bytes:
    """Returns a document as MLflow writes it."""
    text = yaml.safe_dump(document, default_flow_style=False, allow_unicode=True, sort_keys=True)
    return str(text).encode("utf-8")
