"""Takes the text of CREATE TABLE apart.

Owns: where one definition of a table ends and the next begins.
Layer: merge. Pure.

The text is as SQLite keeps it in its schema: it has been parsed before, so what stands there is
well-formed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""[xX]?'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|$)"""
    r"""|(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+|->>?|<[=>]|>=|[=!]=|\|\||<<|>>"""
    r"""|[A-Za-z_\x80-\U0010ffff$0-9.]+|\s+|.""",
    re.DOTALL,
)
_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}


class TableText(NamedTuple):
    """The definitions of a table.

    Attributes:
        columns: Definition of each column, by its name in lower case, in order.
        constraints: What follows the columns.
        options: What follows the definitions, such as STRICT.
    """

    columns: dict[str, str]
    constraints: list[str]
    options: str


def split_table(sql: str) -> TableText:
    """Returns the definitions of a CREATE TABLE statement, each in one form of spaces."""
    parts: list[list[str]] = [[]]
    depth, options = 0, list[str]()
    for word in _tokens(sql):
        depth -= word == ")"
        if depth > 0:
            if depth == 1 and word == ",":
                parts.append([])
            else:
                parts[-1].append(word)
        elif word not in "()":
            options.append(word)
        depth += word == "("
    columns, constraints = {}, list[str]()
    for part in filter(None, parts):
        if part[0].upper() in _CONSTRAINTS:
            constraints.append(" ".join(part))
        else:
            columns[_unquoted(part[0]).lower()] = " ".join(part)
    name_ends = options.index("TABLE") + 2 if "TABLE" in options else 0
    return TableText(columns, constraints, " ".join(options[name_ends:]).upper())


def _tokens(sql: str) -> list[str]:
    found = _TOKEN.findall(sql)
    return [one for one in found if not one.isspace() and not one.startswith(("--", "/*"))]


def _unquoted(name: str) -> str:
    ends = name[0]
    if ends in "\"'`":
        return name[1:-1].replace(ends * 2, ends)
    return name[1:-1] if ends == "[" else name


def quote(name: str) -> str:
    """Returns a name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
