"""What commands ask about mounts: the ref that the working folder means, and sources in a mount.

Owns: the default of REF and PATH arguments.
Layer: cli.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlbfs.cli.context import here
from mlbfs.cli.params import RefPath, guess_ref_path, relative_tree_path
from mlbfs.errors import ErrorKind, InvalidInputError
from mlbfs.livemounts import mount_around, mount_at_path, place_of
from mlbfs.mount.all_names import split_place
from mlbfs.mount.mountinfo import read_mountinfo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbfs.repository import Repository
    from mlbfs.workspace.importer import ImportSource


def default_place(repository: Repository) -> RefPath:
    """Returns the ref and path that the working folder means: of its mount, else `HEAD`.

    Raises:
        InvalidInputError: The folder lies in a mount of all refs, above their trees.
    """
    found = _place_here(repository)
    if found is None:
        raise InvalidInputError(
            "this folder holds several branches, tags or commits",
            kind=ErrorKind.INVALID_PATH,
            hint="name one, or go into its folder",
        )
    return found


def chosen_place(repository: Repository, text: str) -> RefPath:
    """Returns what an argument `REF`, `REF:PATH` or `PATH` means in the working folder.

    Raises:
        NotFoundError: It is neither a ref nor a path.
    """
    return guess_ref_path(repository, text, _place_here(repository))


def _place_here(repository: Repository) -> RefPath | None:
    place = here()
    entry = mount_around(place)
    if entry is None or entry.git_dir is None:
        return RefPath("HEAD", b"")
    record = mount_at_path(place)
    path = relative_tree_path(place_of(place), entry.point)
    if record.kind != "all":
        return RefPath(record.ref, path)
    found = split_place(path, lambda name: repository.git.refs.read(name) is not None)
    return None if found is None else RefPath(*found)


def refuse_mounted_sources(sources: Iterable[ImportSource]) -> None:
    """Refuses to import out of, or across, a mount of ours: the branch has those files already.

    Raises:
        InvalidInputError: Names the source and the mount.
    """
    points = [entry.point for entry in read_mountinfo() if entry.is_mlbfs]
    for source in sources:
        real = place_of(source.host)
        for point in points:
            if real.is_relative_to(point) or point.is_relative_to(real):
                raise InvalidInputError(
                    f"source {str(source.host)!r} overlaps the mount at {str(point)!r}",
                    kind=ErrorKind.INVALID_PATH,
                    hint="commit the work of a mount with 'mlbfs commit'; "
                    "take files out of a ref with 'mlbfs export'",
                )
