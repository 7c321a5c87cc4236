"""Errors as they go from one process of a merge to the other.

Owns: their form. The other end gets the nearest class that `errors` has, or `DriverError`, with the
same words.
Layer: merge.
"""

from __future__ import annotations

import traceback
from typing import Any

from mlbfs import errors
from mlbfs.errors import ErrorKind, MlbfsError
from mlbfs.merge.channel import BadMessageError
from mlbfs.merge.driver import DriverError

MAX_TEXT = 4096
"""Characters of an error that are told."""

_CLASSES: dict[str, type[MlbfsError]] = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, MlbfsError)
} | {"DriverError": DriverError}


class DriverTraceback(MlbfsError):  # noqa: N818 - not raised for itself, but a cause to be shown
    """Where in the other process an error arose; shown with `--debug` only."""


def encode_failure(err: BaseException) -> dict[str, Any]:
    """Returns the form of an exception."""
    trace = "".join(traceback.format_exception(err))[-MAX_TEXT:]
    if not isinstance(err, MlbfsError):
        return {"class": None, "message": said(err), "trace": trace}
    known = next(found.__name__ for found in type(err).__mro__ if found.__name__ in _CLASSES)
    hint = None if err.hint is None else str(err.hint)
    return {
        "class": known,
        "kind": str(err.kind),
        "message": str(err.message)[:MAX_TEXT],
        "hint": hint,
        "trace": trace,
    }


def decode_failure(value: Any) -> MlbfsError | str:  # noqa: ANN401 - whatever came
    """Returns the error that was encoded; only its words if it is none of ours.

    Raises:
        BadMessageError: It is no such form.
    """
    try:
        message, name = value["message"], value["class"]
        if not isinstance(message, str):
            raise BadMessageError("an error has no words")
        if name is None:
            return message
        hint = value["hint"]
        found = _CLASSES[name](
            message, kind=ErrorKind(value["kind"]), hint=None if hint is None else str(hint)
        )
    except (KeyError, TypeError, ValueError) as err:
        raise BadMessageError(f"an error cannot be read: {err!r}") from err
    return found


def trace_of(value: Any) -> DriverTraceback | None:  # noqa: ANN401 - whatever came
    """Returns where an error arose, to be its cause; None if that is not told."""
    trace = value.get("trace") if isinstance(value, dict) else None
    return DriverTraceback(trace) if isinstance(trace, str) else None


def said(err: BaseException) -> str:
    """Returns what an exception says, in one line, whatever its class does."""
    try:
        text = f"{type(err).__name__}: {err}"
    except Exception:  # a class of somebody else, which cannot even say what is wrong
        text = type(err).__name__
    return text.replace("\n", " ")[:MAX_TEXT]
