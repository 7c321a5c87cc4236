// SPDX-License-Identifier: Apache-2.0
// The byte-plane transform of docs/format/record-v1.md for widths 2, 4 and 8.
#pragma once

#include "bytes.h"

namespace mlbfs {

// Writes the planes of `data` one after the other, then the rest that fills no whole item.
// `out` is as long as `data`.
void split_planes(Bytes data, std::size_t width, MutableBytes out);

// Undoes split_planes.
void join_planes(Bytes planes, std::size_t width, MutableBytes out);

}  // namespace mlbfs
