// SPDX-License-Identifier: Apache-2.0
// SHA-256 over whole blocks, with its state going in and coming out, so that hashing can go on
// later from any multiple of 64 bytes. Counting, the tail and the padding are the caller's affair.
#pragma once

#include <vector>

#include "bytes.h"

namespace mlbfs {

inline constexpr std::size_t kSha256State = 32;
inline constexpr std::size_t kSha256Block = 64;

// Hashes `blocks`, whose length is a multiple of kSha256Block, into `state`: the eight words of
// the hash, each most significant byte first, as in a digest.
void sha256_blocks(std::span<std::uint8_t, kSha256State> state, Bytes blocks);

// Whether this processor has instructions for SHA-256 that a kernel here uses.
bool sha256_is_fast();

// The states that each variant this processor can run comes to; for tests.
std::vector<std::vector<std::uint8_t>> sha256_variants(
    std::span<const std::uint8_t, kSha256State> state, Bytes blocks);

}  // namespace mlbfs
