r"""How values are shown: data on standard output, words for people on standard error.

Owns: the form of sizes, counts, ids, times, tables, JSON and progress bars.
Layer: cli. `rich` is imported only when a progress bar is drawn.

Paths are bytes; those that are not UTF-8 are written byte for byte to standard output, and as
`\udcXX` escapes in JSON (Python's surrogateescape, so that `os.fsencode` gives the bytes back).
Names and messages come from strangers, so no control character of theirs reaches a terminal: a path
that has one is quoted as Git quotes it, to a terminal and to a pipe; in everything else one is
written as `\x1b`. JSON has them exactly.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TextIO

from mlbfs.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")

_QUOTED = re.compile(r'[\x00-\x1f"\\\x7f-\x9f]')
"""What makes Git quote a path (with core.quotePath=false), and the control characters of C1."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, but for tab and the end of a line."""

_SHORT_ESCAPES = dict(zip('\a\b\t\n\v\f\r"\\', 'abtnvfr"\\', strict=True))


def size_text(size: int) -> str:
    """Returns a size for people, in decimal units as disks are sold."""
    if abs(size) < 1000:
        return f"{size} B"
    value, power = size / 1000, 0
    while abs(value) >= 999.95 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.1f} {_UNITS[power]}"


def count_text(number: int, noun: str, plural: str | None = None) -> str:
    """Returns `1 file` or `1,797 files`."""
    word = noun if number == 1 else plural or noun + "s"
    return f"{number:,} {word}"


def time_text(seconds: int, offset: int = 0) -> str:
    """Returns a moment in the zone of whoever made it."""
    zone = timezone(timedelta(minutes=offset))
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M:%S %z")


def day_text(seconds: int, offset: int = 0) -> str:
    """Returns the day of a moment, in the zone of whoever made it."""
    return time_text(seconds, offset)[:10]


def json_time(seconds: float) -> str:
    """Returns a moment for programs: RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def path_text(path: bytes) -> str:
    """Returns a path as text that turns back into the same bytes."""
    return os.fsdecode(path)


def quoted(path: bytes) -> str:
    r"""Returns a path for people and simple programs: as it is, or quoted as Git does.

    In double quotes, with `\n` and the like for what would not be seen, when it has a control
    character, a double quote or a backslash.
    """
    text = path_text(path)
    if _QUOTED.search(text) is None:
        return text
    return '"' + _QUOTED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    short = _SHORT_ESCAPES.get(match[0])
    if short is not None:
        return "\\" + short
    return "".join(f"\\{byte:03o}" for byte in match[0].encode())


def visible(text: str) -> str:
    """Returns a text with its control characters in a form that does nothing to a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def out(text: str = "") -> None:
    """Writes one line of data."""
    # os.fsencode and not the encoding of the terminal: a name goes out as the bytes it is.
    out_bytes(os.fsencode(visible(text)) + b"\n")


def out_content(data: bytes) -> None:
    """Writes lines out of files: as they are, but harmless to a terminal."""
    if sys.stdout is not None and sys.stdout.isatty():
        data = os.fsencode(visible(os.fsdecode(data)))
    out_bytes(data)


def out_bytes(data: bytes) -> None:
    """Writes bytes of data as they are.

    Raises:
        StorageError: There is no standard output.
    """
    if sys.stdout is None:  # the caller has closed it: `mlbfs ls >&-`
        raise StorageError("there is nowhere to write to: standard output is closed")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def flush() -> None:
    """Hands over what was written so far; for a command that goes on after its answer."""
    if sys.stdout is not None:
        sys.stdout.flush()


def say(text: str) -> None:
    """Writes one line for people."""
    if sys.stderr is not None:  # None when the caller has closed it
        _write_lossy(sys.stderr, visible(text) + "\n")


def say_error(message: str, hint: str | None) -> None:
    """Writes an error in one line, and what to type in another."""
    say(f"mlbfs: {message}")
    if hint is not None:
        say(f"hint: {hint}")


def out_json(value: Any) -> None:  # noqa: ANN401 - JSON is any
    """Writes one JSON document."""
    out_bytes(json.dumps(value, indent=2, ensure_ascii=True).encode() + b"\n")


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> None:
    """Writes rows in columns; those in `right` are aligned to the right."""
    if not rows:
        return
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        out("  ".join(cells).rstrip())


def is_interactive() -> bool:
    """Returns whether a person is watching standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Shows how many bytes are done, of how many if that is known, on a terminal only.

    Yields a function that takes both numbers and a few words.
    """
    if not is_interactive():
        yield _ignore_bytes
        return
    from rich.console import Console  # see progress
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def show(done: int, total: int | None, words: str) -> None:
            text = f"{label}: {words}" if words else label
            bar.update(task, completed=done, total=total, description=text)

        yield show


def _ignore_bytes(_done: int, _total: int | None, _words: str) -> None:
    """Takes the place of a bar when nobody is watching."""


@contextmanager
def progress(label: str) -> Iterator[Callable[[str], None]]:
    """Shows a line with a spinner and the time gone, on a terminal only; yields its setter."""
    if not is_interactive():
        yield _ignore
        return
    from rich.console import Console  # a tenth of the start-up of a mount, for a bar nobody sees
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label)
        yield lambda text: bar.update(task, description=f"{label}: {text}")


def _ignore(_text: str) -> None:
    """Takes the place of a progress line when nobody is watching."""


def _write_lossy(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
