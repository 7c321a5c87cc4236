"""What files of tensors have in common: named tensors whose bytes can be read in steps.

Owns: the words in which the driver `tensors` sees a file, whichever format it is in.
Layer: merge.

Memory: some megabytes, whatever the size of a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from mlbfs.merge.windows import same_bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """How the numbers of a tensor lie in its bytes.

    Attributes:
        dtype: Type of the numbers, as NumPy writes it (`<f4`); what NumPy does not know has the
            name that the file gives it (`BF16`).
        shape: Length of each dimension.
        fortran: The first dimension is the one that runs fastest.
        header: Bytes in front of the numbers.
    """

    dtype: str
    shape: tuple[int, ...]
    fortran: bool = False
    header: bytes = b""

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}{' in Fortran order' if self.fortran else ''}"


class Tensor(Protocol):
    """One tensor of one version."""

    @property
    def name(self) -> str:
        """What the file calls it."""

    @property
    def form(self) -> object:
        """What has to be equal, beside the bytes, for two tensors to be the same."""

    @property
    def size(self) -> int:
        """Number of bytes that `open` gives."""

    def open(self) -> BinaryIO:
        """Returns its bytes as a stream."""

    def layout(self) -> Layout | None:
        """Returns how its numbers lie in its bytes; None for what is no array at all.

        Raises:
            UnmergeableError: It is malformed.
        """


def same_tensor(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same, told by their bytes: NaN is equal to the same NaN."""
    if one.form != other.form or one.size != other.size:
        return False
    with one.open() as mine, other.open() as theirs:
        return same_bytes(mine, theirs)
