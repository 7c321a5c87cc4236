"""The hot functions of the store, from the native module where it is built.

Owns: the choice between `mlbfs._native` and `mlbfs.store.twin`, made once, at import. The two are
interchangeable; tests compare them and import each directly.
Layer: store. Imports twin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

__all__ = [
    "IMPLEMENTATION",
    "best_width",
    "cut_points",
    "decode_record",
    "encode_record",
    "encode_records",
    "list_folder",
    "read_files",
    "read_record",
    "sha256_blocks",
    "sha256_is_fast",
]

if TYPE_CHECKING:
    from mlbfs.store.twin import (
        best_width,
        cut_points,
        decode_record,
        encode_record,
        encode_records,
        list_folder,
        read_files,
        read_record,
        sha256_blocks,
        sha256_is_fast,
    )
else:
    try:
        from mlbfs._native import (
            best_width,
            cut_points,
            decode_record,
            encode_record,
            encode_records,
            list_folder,
            read_files,
            read_record,
            sha256_blocks,
            sha256_is_fast,
        )
    except ModuleNotFoundError as err:
        if err.name != "mlbfs._native":
            raise
        from mlbfs.store.twin import (
            best_width,
            cut_points,
            decode_record,
            encode_record,
            encode_records,
            list_folder,
            read_files,
            read_record,
            sha256_blocks,
            sha256_is_fast,
        )

IMPLEMENTATION: Final[Literal["native", "python"]] = (
    "native" if cut_points.__module__ == "mlbfs._native" else "python"
)
