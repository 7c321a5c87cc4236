// SPDX-License-Identifier: Apache-2.0
// XXH3-64 of two pieces, one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "bytes.h"

namespace mlbfs {

std::uint64_t checksum(Bytes head, Bytes body);

// The same from every variant that this processor can run, the portable one first. For tests.
std::vector<std::uint64_t> checksum_variants(Bytes head, Bytes body);

}  // namespace mlbfs
