// SPDX-License-Identifier: Apache-2.0
// Content-defined cut points; the rule is in mlbfs/store/chunker.py and docs/format/chunking-v1.md.
#pragma once

#include <vector>

#include "bytes.h"

namespace mlbfs {

// Returns the end offsets of the chunks of `data`, which begins at a chunk start. Unless `final`,
// a last piece whose end depends on bytes still to come is not reported.
std::vector<std::size_t> cut_points(Bytes data, bool final);

}  // namespace mlbfs
