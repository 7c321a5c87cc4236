"""The four kinds of Git objects.

Owns: their names and numbers. Layer: git. Pure.
"""

from __future__ import annotations

from typing import Literal

ObjectKind = Literal["commit", "tree", "blob", "tag"]

KIND_CODES: dict[ObjectKind, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
"""Numbers in a pack, and in libgit2."""

KIND_NAMES: dict[int, ObjectKind] = {code: kind for kind, code in KIND_CODES.items()}
