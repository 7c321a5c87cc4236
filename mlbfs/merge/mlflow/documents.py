"""Merges a document of MLflow's folder by key.

Owns: which keys two sides set differently without disagreeing.
Layer: merge. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mlbfs.merge.versions import Side

if TYPE_CHECKING:
    from mlbfs.merge.mlflow.yamltext import Document

_EARLIER = frozenset({"creation_time", "creation_timestamp"})
_LATER = frozenset({"last_update_time", "last_updated_timestamp", "deleted_time"})
_PLACE = "artifact_location"


class _Missing:
    """The type of `MISSING`."""


MISSING = _Missing()
"""Stands for no value: `null` is one."""


class KeyConflict(NamedTuple):
    """A key that both sides set, each in its own way; as text, None where it is not there."""

    key: str
    base: str | None
    ours: str | None
    theirs: str | None


def merge_documents(
    base: Document | None, ours: Document, theirs: Document, policy: Side | None
) -> tuple[Document, list[KeyConflict]]:
    """Merges theirs into ours; mappings in it, the aliases of a model say, by key, too.

    Args:
        base: The document of the base; None when both added it.
        ours: That of ours.
        theirs: That of theirs.
        policy: The side that conflicts are settled with.
    """
    merged: Document = {}
    conflicts: list[KeyConflict] = []
    before = {} if base is None else base
    for key in sorted({*ours, *theirs}):
        old, mine, other = (one.get(key, MISSING) for one in (before, ours, theirs))
        if isinstance(mine, dict) and isinstance(other, dict):
            inner = old if isinstance(old, dict) else {}
            merged[key], found = merge_documents(inner, mine, other, policy)
            conflicts += [one._replace(key=f"{key}.{one.key}") for one in found]
            continue
        value = _settled(key, old, mine, other, is_new=base is None)
        if value is None:
            conflicts.append(KeyConflict(key, _text(old), _text(mine), _text(other)))
            value = (other if policy is Side.THEIRS else mine,)
        if value[0] is not MISSING:
            merged[key] = value[0]
    return merged, conflicts


def _settled(key: str, old: Any, mine: Any, other: Any, *, is_new: bool) -> tuple[Any] | None:  # noqa: ANN401 - values of YAML
    """Returns the merged value, or None if the sides disagree."""
    if _same(mine, other) or _same(other, old):
        return (mine,)
    if _same(mine, old):
        return (other,)
    if type(mine) is int and type(other) is int:
        if key in _EARLIER:
            return (min(mine, other),)
        if key in _LATER:
            return (max(mine, other),)
    return (mine,) if is_new and key == _PLACE else None


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - values of YAML
    return type(one) is type(other) and bool(one == other)  # 1 is not True


def _text(value: Any) -> str | None:  # noqa: ANN401 - values of YAML
    return None if value is MISSING else str(value)
