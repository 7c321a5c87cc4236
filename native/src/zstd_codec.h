// SPDX-License-Identifier: Apache-2.0
// Zstd frames of plain bytes and of byte planes. Contexts are kept per thread.
#pragma once

#include "bytes.h"

namespace mlbfs {

// Compresses into `out` and returns the bytes used, or 0 if they do not fit. Width 1 is plain
// zstd; 2, 4 and 8 make one frame of the planes with a block boundary after each.
std::size_t compress(Bytes plain, unsigned width, int level, MutableBytes out);

// Fills `plain` from one frame. Returns false unless the frame is exactly that long and `stored`
// holds nothing but it.
bool decompress(Bytes stored, unsigned width, MutableBytes plain);

}  // namespace mlbfs
