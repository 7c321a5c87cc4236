"""Answers what a driver in another process reads.

Owns: what each question is answered with, and the versions that are open for one call.
Layer: workspace.

Concurrency: one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlbfs.errors import MlbfsError
from mlbfs.merge.answers import decode_version, encode_version
from mlbfs.merge.channel import BadMessageError
from mlbfs.merge.failures import encode_failure
from mlbfs.merge.versions import Reader, Side

if TYPE_CHECKING:
    import mmap

    from mlbfs.merge.channel import Message
    from mlbfs.merge.driver import Inputs


class ReadServer:
    """Answers the questions of one call.

    Args:
        inputs: Where is read.
        window: Memory that both processes share; content goes through it.

    Attributes:
        error: The last error that reading ended with.
    """

    def __init__(self, inputs: Inputs, window: mmap.mmap) -> None:
        self._inputs = inputs
        self._window = memoryview(window)
        self._readers: list[Reader] = []
        self._handles: dict[bytes, int] = {}
        self.error: MlbfsError | None = None

    def reply(self, message: Message) -> Message:
        """Returns the answer to a question; an error of reading is one.

        Raises:
            BadMessageError: It is no question.
        """
        try:
            return self._reply(message)
        except BadMessageError:
            raise
        except MlbfsError as err:
            self.error = err
            return {"error": encode_failure(err)}
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise BadMessageError(f"it asked what cannot be read: {err!r}") from err

    def _reply(self, message: Message) -> Message:
        match message.get("do"):
            case "open":
                return self._open(message["version"])
            case "read":
                return {"length": self._read(message)}
            case "find":
                found = self._inputs.find(Side(message["side"]), bytes.fromhex(message["path"]))
                return {"version": encode_version(found)}
            case "list":
                return {"entries": self._list(message)}
            case "changed_at":
                path = bytes.fromhex(message["path"])
                return {"time": self._inputs.changed_at(Side(message["side"]), path)}
        raise BadMessageError("it asked what nobody asks")

    def _list(self, message: Message) -> list[Any]:
        listed = getattr(self._inputs, "list", None)
        if listed is None:
            raise BadMessageError("it asked for a folder while it merges a file")
        found = listed(Side(message["side"]), bytes.fromhex(message["path"]))
        return [[name.hex(), one.is_folder, one.id.hex()] for name, one in found.items()]

    def _open(self, value: Any) -> Message:  # noqa: ANN401 - whatever came
        version = decode_version(value)
        handle = self._handles.get(version.content)
        if handle is None:
            handle = self._handles[version.content] = len(self._readers)
            self._readers.append(self._inputs.open(version))
        return {"handle": handle, "size": self._readers[handle].size}

    def _read(self, message: Message) -> int:
        handle, offset, length = (message[key] for key in ("handle", "offset", "length"))
        if any(type(one) is not int or one < 0 for one in (handle, offset, length)):
            raise BadMessageError("it asked for bytes at no place")
        data = self._readers[handle].read(offset, min(length, len(self._window)))
        self._window[: len(data)] = data
        return len(data)
