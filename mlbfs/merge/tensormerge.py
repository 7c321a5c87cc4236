"""Puts files of tensors together from those of both sides: safetensors, npz and npy.

Owns: how the tensors that were chosen become a file of each format.
Layer: merge.

Memory: the headers of three versions, and some megabytes.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlbfs.merge.driver import FileAt, FileSpan, MergeResult, Span, Take
from mlbfs.merge.npy import ArrayFile
from mlbfs.merge.npz import Directory, NpzFile, read_npz, same_entry
from mlbfs.merge.parts import Assembly, PathReader
from mlbfs.merge.safetensors import SafetensorsFile, read_safetensors, render_header, write_order
from mlbfs.merge.tensorfile import same_tensor
from mlbfs.merge.tensorplan import Met, meet
from mlbfs.merge.tensorrules import Rules
from mlbfs.merge.versions import Side
from mlbfs.merge.windows import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlbfs.merge.driver import Content, MergeCall
    from mlbfs.merge.npz import Entry
    from mlbfs.merge.safetensors import SafeTensor
    from mlbfs.merge.tensorplan import Meeting
    from mlbfs.merge.tensorrules import Wish

T = TypeVar("T")
Taken = list[tuple[T, Side | Path]]
"""Tensors in the order of the merged file, and where the bytes of each come from."""

_BOTH = (Side.OURS, Side.THEIRS)


def _has_base(call: MergeCall) -> bool:
    return call.base is not None and call.base.size > 0


def _result(rules: Rules, content: Content) -> MergeResult:
    note = f"{rules.averaged} averaged" if rules.averaged else ""
    return MergeResult(content, tuple(rules.conflicts), note=note)


def _taken(meetings: Sequence[Meeting[T]], sources: Sequence[Side | Path]) -> Taken[T]:
    """Returns what was chosen; of a mean it is the tensor of ours, which has the same form."""
    found = []
    for meeting, source in zip(meetings, sources, strict=True):
        tensor = meeting.of(Side.OURS if isinstance(source, Path) else source)
        if tensor is not None:
            found.append((tensor, source))
    return found


def _is_side(side: Side, meetings: Sequence[Meeting[T]], sources: Sequence[Side | Path]) -> bool:
    """Whether all that was chosen is what a side has."""
    pairs = zip(meetings, sources, strict=True)
    return all(meeting.met is Met.SAME or source is side for meeting, source in pairs)


# Safetensors


def merge_safetensors(call: MergeCall, wish: Wish) -> MergeResult:
    """Merges files of safetensors.

    Raises:
        UnmergeableError: A version is malformed.
        DriverError: NumPy is missing.
    """
    ours, theirs = (read_safetensors(call.open(side), side) for side in _BOTH)
    base = SafetensorsFile({}, None, 0)
    if _has_base(call):
        base = read_safetensors(call.open(Side.BASE), Side.BASE)
    rules = Rules(call, wish)
    metadata = _merge_metadata(rules, base, ours, theirs)
    meetings = meet(base.tensors, ours.tensors, theirs.tensors, same_tensor)
    sources = [rules.decide(meeting) for meeting in meetings]
    for side, file in ((Side.OURS, ours), (Side.THEIRS, theirs)):
        if _is_side(side, meetings, sources) and metadata == (file.metadata or {}):
            return _result(rules, Take(side))
    taken = _taken(meetings, sources)
    return _result(rules, _safetensors_content(ours, taken, metadata))


def _merge_metadata(
    rules: Rules, base: SafetensorsFile, ours: SafetensorsFile, theirs: SafetensorsFile
) -> dict[str, str]:
    found = {}
    before, mine, other = (file.metadata or {} for file in (base, ours, theirs))
    for meeting in meet(before, mine, other, str.__eq__):
        value = meeting.of(rules.decide_text(meeting))
        if value is not None:
            found[meeting.name] = value
    return found


def _safetensors_content(
    ours: SafetensorsFile, taken: Taken[SafeTensor], metadata: dict[str, str]
) -> Content:
    sources = {tensor.name: source for tensor, source in taken}
    tensors = write_order(ours, [tensor for tensor, _ in taken])
    assembly = Assembly()
    if _same_header(ours, tensors, metadata):
        assembly.add(Span(Side.OURS, 0, ours.data_start))
    else:
        assembly.add(render_header(tensors, metadata or None, ours))
    for tensor in tensors:
        source = sources[tensor.name]
        if isinstance(source, Path):
            assembly.add(FileSpan(source, 0, tensor.size))
        else:
            assembly.add(Span(source, tensor.start, tensor.stop))
    return assembly.content()


def _same_header(
    ours: SafetensorsFile, tensors: Sequence[SafeTensor], metadata: dict[str, str]
) -> bool:
    forms = [(one.name, one.form) for one in tensors]
    mine = [(one.name, one.form) for one in ours.tensors.values()]
    return forms == mine and metadata == (ours.metadata or {})


# Npz


def merge_npz(call: MergeCall, wish: Wish) -> MergeResult:
    """Merges archives of arrays.

    Raises:
        UnmergeableError: A version is malformed, or of a kind that is refused.
        DriverError: NumPy is missing.
    """
    ours, theirs = (read_npz(call.open(side), side) for side in _BOTH)
    base = read_npz(call.open(Side.BASE), Side.BASE) if _has_base(call) else NpzFile({}, b"")
    rules = Rules(call, wish)
    meetings = meet(base.entries, ours.entries, theirs.entries, same_entry)
    sources = [rules.decide(meeting) for meeting in meetings]
    for side in _BOTH:
        if _is_side(side, meetings, sources):
            return _result(rules, Take(side))
    assembly, directory = Assembly(), Directory(ours.comment)
    for entry, source in _taken(meetings, sources):
        packed = _packed(entry, source) if isinstance(source, Path) else entry
        header, start = directory.add(packed)
        assembly.add(header or b"")
        if isinstance(source, Path):
            assembly.add(FileSpan(_packed_path(source), start, packed.stop))
        else:
            assembly.add(Span(source, start, packed.stop))
    assembly.add(directory.render())
    return _result(rules, assembly.content())


def _packed_path(mean: Path) -> Path:
    return mean.with_suffix(".zip")


def _packed(like: Entry, mean: Path) -> Entry:
    """Returns a mean as an entry of an archive of its own, packed as that of ours is."""
    info = zipfile.ZipInfo(like.name, like.info.date_time)
    info.compress_type = like.info.compress_type
    info.external_attr = like.info.external_attr
    path = _packed_path(mean)
    with zipfile.ZipFile(path, "w") as archive, mean.open("rb") as file:
        info.file_size = mean.stat().st_size
        with archive.open(info, "w", force_zip64=True) as entry:
            for data in steps(file):
                entry.write(data)
    return read_npz(PathReader(path), "mean").entries[like.name]


# Npy


def merge_npy(call: MergeCall, wish: Wish) -> MergeResult:
    """Merges files of one array each.

    Raises:
        UnmergeableError: A version is malformed.
        DriverError: NumPy is missing.
    """
    base, ours, theirs = (_array(call, side) for side in Side)
    rules = Rules(call, wish)
    (meeting,) = meet(base, ours, theirs, same_tensor)
    source = rules.decide(meeting)
    return _result(rules, FileAt(source) if isinstance(source, Path) else Take(source))


def _array(call: MergeCall, side: Side) -> dict[str, ArrayFile]:
    """Returns the array of a side; one that is malformed wins over nothing, so it is looked at."""
    if side is Side.BASE and not _has_base(call):
        return {}
    found = ArrayFile(call.open(side), side)
    found.layout()
    return {"": found}
