"""The elementwise mean of two tensors, in steps.

Owns: which types of numbers have a mean, and how it is rounded.
Layer: merge. Needs NumPy, so it is imported only when a mean is asked for.

The mean is computed in a wider type and rounded once, to the nearest, so that it does not depend on
which side is which. What is NaN on a side is NaN in the mean. Whole numbers have none: half of the
means of two counts would be no count.

Memory: some megabytes, whatever the size of a tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mlbfs.merge.windows import STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mlbfs.merge.tensorfile import Layout

_PARTS = {"f2": "f2", "f4": "f4", "f8": "f8", "c8": "f4", "c16": "f8"}
"""Types of numbers, and of the parts that each has."""
_BFLOAT = "BF16"


def why_not(ours: Layout, theirs: Layout) -> str | None:
    """Returns why two tensors have no mean, or None if they have one."""
    if (ours.dtype, ours.shape, ours.fortran) != (theirs.dtype, theirs.shape, theirs.fortran):
        return f"{ours} and {theirs} have no mean"
    if ours.dtype != _BFLOAT and ours.dtype.lstrip("<>=|") not in _PARTS:
        return f"{ours.dtype[:80]} cannot be averaged"
    return None


def mean_steps(layout: Layout, ours: BinaryIO, theirs: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes of the mean of two tensors of one layout.

    Args:
        layout: The layout of both.
        ours: The numbers of one.
        theirs: The numbers of the other; as many.
    """
    while data := ours.read(STEP):
        other = theirs.read(STEP)
        assert len(data) == len(other), "both have as many numbers"
        yield _bfloat_mean(data, other) if layout.dtype == _BFLOAT else _mean(layout, data, other)


def _mean(layout: Layout, ours: bytes, theirs: bytes) -> bytes:
    order = ">" if layout.dtype.startswith(">") else "<"
    dtype = np.dtype(order + _PARTS[layout.dtype.lstrip("<>=|")])
    with np.errstate(all="ignore"):
        one, other = (np.frombuffer(data, dtype).astype(np.float64) for data in (ours, theirs))
        return _half_sum(one, other).astype(dtype).tobytes()


def _half_sum(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean; halves before adding only where the sum is too large."""
    mean = (one + other) / 2
    too_large = np.isinf(mean) & np.isfinite(one) & np.isfinite(other)
    if too_large.any():
        mean[too_large] = one[too_large] / 2 + other[too_large] / 2
    mean[np.isnan(mean)] = np.nan  # one NaN for all: which one came out hung on the order
    return mean


def _bfloat_mean(ours: bytes, theirs: bytes) -> bytes:
    """Returns the mean of numbers that are the upper halves of those of 32 bits."""
    with np.errstate(all="ignore"):
        one, other = (_widened(data) for data in (ours, theirs))
        mean = _half_sum(one, other).astype(np.float32)
    bits: NDArray[Any] = mean.view(np.uint32)
    rounded = bits + (0x7FFF + ((bits >> 16) & 1))  # to the nearest, of two to the even one
    return np.where(np.isnan(mean), 0x7FC0, rounded >> 16).astype("<u2").tobytes()


def _widened(data: bytes) -> NDArray[np.float64]:
    bits = np.frombuffer(data, "<u2").astype(np.uint32) << 16
    return bits.view(np.float32).astype(np.float64)
