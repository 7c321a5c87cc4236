r"""What the kernel says is mounted: a parser of `/proc/self/mountinfo`.

Owns: the text form of the mount source (`mlbfs:<quoted git directory>`), by which a mount of ours
is recognised and by which its repository is found from inside of it.
Layer: mount. Imports the standard library only, so that commands start quickly.

The fields of a line, as in proc(5):

    36 35 0:98 /root /mount/point rw,noatime shared:1 - fuse.mlbfs mlbfs:/a/.git rw,user_id=0
    id parent device root point options optional... - type source super-options

Space, tab, newline and backslash in a field are written as `\040` and so on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

FILESYSTEM_TYPE = "fuse.mlbfs"
SUBTYPE = "mlbfs"
SOURCE_PREFIX = "mlbfs:"

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_FIXED_FIELDS = 6


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One mounted file system.

    Attributes:
        mount_id: Number of the mount in this namespace.
        parent_id: Number of the mount that it covers a directory of.
        device: `major:minor` of the file system; for FUSE the name of its connection too.
        point: Where it is mounted.
        kind: Type of the file system, `fuse.mlbfs` for ours.
        source: What is mounted, as given by whoever mounted it.
        options: Options of this mount.
    """

    mount_id: int
    parent_id: int
    device: str
    point: Path
    kind: str
    source: str
    options: tuple[str, ...]

    @property
    def is_mlbfs(self) -> bool:
        """Whether it is a mount of ours."""
        return self.kind == FILESYSTEM_TYPE and self.source.startswith(SOURCE_PREFIX)

    @property
    def is_read_only(self) -> bool:
        """Whether the kernel refuses writes."""
        return "ro" in self.options

    @property
    def git_dir(self) -> Path | None:
        """The Git directory that a mount of ours shows, None for other mounts."""
        return decode_source(self.source) if self.is_mlbfs else None


def encode_source(git_dir: Path) -> str:
    """Returns the mount source for a repository: ASCII without commas, spaces or backslashes."""
    return SOURCE_PREFIX + quote_from_bytes(os.fsencode(git_dir), safe="/")


def decode_source(source: str) -> Path | None:
    """Returns the Git directory that `encode_source` was given, None for another source."""
    if not source.startswith(SOURCE_PREFIX):
        return None
    return Path(os.fsdecode(unquote_to_bytes(source.removeprefix(SOURCE_PREFIX))))


def parse_mountinfo(text: bytes) -> list[MountEntry]:
    """Parses mountinfo, in the kernel's order; lines of an unknown form are left out."""
    entries = (_parse_line(line) for line in text.splitlines())
    return [entry for entry in entries if entry is not None]


def read_mountinfo() -> list[MountEntry]:
    """Returns what is mounted in this process's namespace."""
    return parse_mountinfo(_MOUNTINFO.read_bytes())


def mount_at(entries: Iterable[MountEntry], point: Path) -> MountEntry | None:
    """Returns the topmost mount at exactly `point`, which has no symbolic links in it."""
    found = [entry for entry in entries if entry.point == point]
    return found[-1] if found else None


def mount_of(entries: Iterable[MountEntry], path: Path) -> MountEntry | None:
    """Returns the mount that the absolute, link-free `path` lies in, by its name alone.

    The path is not touched, so this is safe when the daemon behind it has died.
    """
    best: MountEntry | None = None
    for entry in entries:
        if (entry.point == path or entry.point in path.parents) and (
            best is None or len(entry.point.parts) >= len(best.point.parts)
        ):
            best = entry
    return best


def _parse_line(line: bytes) -> MountEntry | None:
    fields = line.split()
    try:
        separator = fields.index(b"-", _FIXED_FIELDS)
        kind, source = fields[separator + 1 : separator + 3]
        mount_id, parent_id = int(fields[0]), int(fields[1])
    except ValueError:
        return None
    return MountEntry(
        mount_id=mount_id,
        parent_id=parent_id,
        device=fields[2].decode("ascii", "replace"),
        point=Path(os.fsdecode(_unescape(fields[4]))),
        kind=os.fsdecode(_unescape(kind)),
        source=os.fsdecode(_unescape(source)),
        options=tuple(os.fsdecode(fields[5]).split(",")),
    )


def _unescape(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field)
