// SPDX-License-Identifier: Apache-2.0
// Which plane width a chunk is worth trying with; the argument is in mlbfs/store/codec.py.
#pragma once

#include "bytes.h"

namespace mlbfs {

// Returns 0 for raw, 1 for plain zstd, or 2, 4, 8.
unsigned best_width(Bytes data);

// Returns the piece from the middle that a promising width is tried on.
Bytes trial_of(Bytes data);

// Returns the most bytes that `length` plain bytes may take and still be worth storing compressed.
std::size_t gain_limit(std::size_t length);

}  // namespace mlbfs
