"""Writes a merged JSON document with the text of the versions that it is put together of.

Owns: what stands between values, and how text of theirs stands in a document of ours.
Layer: merge. Pure.

All that ours has and keeps comes out byte by byte, spaces and escapes too. A new value is written
as theirs wrote it if both documents have the same form, else in the form of ours; what separates it
from others is what separates values of ours in the same object or list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlbfs.merge.jsonmerge import Composed, Run
from mlbfs.merge.jsonspans import value_of
from mlbfs.merge.jsontext import render_name, render_value

if TYPE_CHECKING:
    from mlbfs.merge.jsonmerge import Item
    from mlbfs.merge.jsonspans import Document, Node


def write_document(merged: Node | Composed, ours: Document) -> bytes:
    """Returns a merged document.

    Args:
        merged: Its value.
        ours: The document that it takes its form from.
    """
    writer = _Writer(ours)
    writer.add(merged, 0)
    root = ours.root
    parts = [ours.text[: root.start], *writer.parts, ours.text[root.stop :]]
    return ours.head + b"".join(map(str.encode, parts))


class _Writer:
    def __init__(self, ours: Document) -> None:
        self._ours = ours
        self.parts: list[str] = []

    def add(self, merged: Node | Composed, depth: int, *, is_flat: bool = False) -> None:
        """Adds a value that stands below so many levels, on one line or not."""
        if isinstance(merged, Composed):
            self._add_composed(merged, depth)
        elif self._has_form(merged.document):
            self.parts.append(merged.text)
        else:
            style = replace(self._ours.style, indent=None) if is_flat else self._ours.style
            self.parts.append(render_value(merged.value, style, depth))

    def _has_form(self, document: Document) -> bool:
        """Whether text of a document may stand in ours as it is."""
        return document is self._ours or document.style.is_like(self._ours.style)

    def _add_composed(self, merged: Composed, depth: int) -> None:
        text, node = self._ours.text, merged.node
        between = _Between(node, depth)
        self.parts.append(text[node.start])
        for number, part in enumerate(merged.parts):
            place = part.first if isinstance(part, Run) else part.place
            self.parts.append(between.before(place) if number else between.opening)
            if isinstance(part, Run):
                begin, stop = node.children.begins[part.first], node.children.stops[part.last - 1]
                self.parts.append(text[begin:stop])
            else:
                self._add_item(part, node, depth, is_flat=between.is_flat)
        if merged.parts:
            self.parts.append(between.closing)
        self.parts.append(text[node.children.end - 1])

    def _add_item(self, item: Item, node: Node, depth: int, *, is_flat: bool) -> None:
        children, text = node.children, self._ours.text
        if item.place is not None:  # a name of ours stays as it is written
            self.parts.append(text[children.begins[item.place] : children.starts[item.place]])
        elif item.name is not None:
            assert not isinstance(item.value, Composed), "a new member is there as one side has it"
            self._add_name(item.name, item.value)
        self.add(item.value, depth + 1, is_flat=is_flat)

    def _add_name(self, begin: int, value: Node) -> None:
        document = value.document
        if self._has_form(document):
            self.parts.append(document.text[begin : value.start])
        else:
            self.parts.append(render_name(value_of(document.text, begin), self._ours.style))


class _Between:
    """What stands between the values of an object or list of ours.

    Attributes:
        opening: Before the first.
        closing: Behind the last.
        is_flat: The values are on one line each, or all on one.
    """

    def __init__(self, node: Node, depth: int) -> None:
        self._children = node.children
        self._text = node.document.text
        style = node.document.style
        if not len(self._children):
            self.opening, self.closing = style.opening(depth), style.closing(depth)
            self._usual = style.separator(depth)
            self.is_flat = style.indent is None
            return
        self.opening = self._text[node.start + 1 : self._children.begins[0]]
        self.closing = self._text[self._children.stops[-1] : self._children.end - 1]
        first = self._children.text(0)
        is_filled = first[0] in "{[" and not first[1:-1].isspace() and len(first) > 2
        self.is_flat = "\n" not in self.opening or (is_filled and "\n" not in first)
        if len(self._children) > 1:
            self._usual = self._own(1)
        else:
            self._usual = "," + self.opening if "\n" in self.opening else style.comma

    def before(self, place: int | None) -> str:
        """Returns what stands before a value of ours, or before a new one; not before the first."""
        return self._own(place) if place else self._usual

    def _own(self, place: int) -> str:
        return self._text[self._children.stops[place - 1] : self._children.begins[place]]
