// SPDX-License-Identifier: Apache-2.0
// The hash at a position depends on the 64 bytes before it and on nothing else. So the scan skips
// the first kMinChunk bytes of a chunk, and then hashes a block in four lanes side by side, each
// warmed up on the 64 bytes before it: the additions of one lane must wait for one another, those
// of four need not. Blocks are short, since what is hashed beyond a cut is wasted.

#include "chunker.h"

#include <algorithm>

#include "gear_table.h"
#include "parameters.h"

namespace mlbfs {
namespace {

constexpr std::uint64_t kStrictLimit = std::uint64_t{1} << (64 - kStrictBits);
constexpr std::uint64_t kLooseLimit = std::uint64_t{1} << (64 - kLooseBits);
constexpr std::size_t kLanes = 4;
constexpr std::size_t kLaneSize = 2048;
constexpr std::size_t kBlock = kLanes * kLaneSize;
constexpr std::size_t kNoCut = static_cast<std::size_t>(-1);

inline std::uint64_t roll(std::uint64_t hash, std::uint8_t byte) {
    return (hash << 1) + kGear[byte];
}

// Returns the hash at `end`, which is at least kHashWindow bytes into the data.
std::uint64_t hash_before(const std::uint8_t* end) {
    std::uint64_t hash = 0;
    for (const std::uint8_t* p = end - kHashWindow; p != end; ++p) {
        hash = roll(hash, *p);
    }
    return hash;
}

// Rolls `hash` over [from, to) and returns the first position after a byte with a hash below
// `limit`, or nullptr.
const std::uint8_t* scan(const std::uint8_t* from, const std::uint8_t* to, std::uint64_t& hash,
                         std::uint64_t limit) {
    std::uint64_t value = hash;
    for (; from != to; ++from) {
        value = roll(value, *from);
        if (value < limit) {
            hash = value;
            return from + 1;
        }
    }
    hash = value;
    return nullptr;
}

// As `scan`, over one block of kBlock bytes in lanes.
const std::uint8_t* scan_block(const std::uint8_t* block, std::uint64_t& hash,
                               std::uint64_t limit) {
    const std::uint8_t* const second = block + kLaneSize;
    const std::uint8_t* const third = second + kLaneSize;
    const std::uint8_t* const fourth = third + kLaneSize;
    std::uint64_t a = hash;
    std::uint64_t b = 0;
    std::uint64_t c = 0;
    std::uint64_t d = 0;
    for (std::size_t i = 0; i < kHashWindow; ++i) {
        b = roll(b, (second - kHashWindow)[i]);
        c = roll(c, (third - kHashWindow)[i]);
        d = roll(d, (fourth - kHashWindow)[i]);
    }
    std::size_t i = 0;
    for (; i < kLaneSize; ++i) {
        const std::uint64_t next_a = roll(a, block[i]);
        const std::uint64_t next_b = roll(b, second[i]);
        const std::uint64_t next_c = roll(c, third[i]);
        const std::uint64_t next_d = roll(d, fourth[i]);
        if (next_a < limit || next_b < limit || next_c < limit || next_d < limit) [[unlikely]] {
            break;  // some lane has a cut: the lanes are finished below, in order
        }
        a = next_a;
        b = next_b;
        c = next_c;
        d = next_d;
    }
    if (i == kLaneSize) {
        hash = d;
        return nullptr;
    }
    std::uint64_t lanes[kLanes] = {a, b, c, d};
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::uint8_t* start = block + lane * kLaneSize;
        const std::uint8_t* cut = scan(start + i, start + kLaneSize, lanes[lane], limit);
        if (cut != nullptr) {
            return cut;
        }
    }
    return nullptr;  // not reached: one of the lanes has a cut
}

// As `scan`, for a range of any length.
const std::uint8_t* scan_range(const std::uint8_t* from, const std::uint8_t* to,
                               std::uint64_t& hash, std::uint64_t limit) {
    while (static_cast<std::size_t>(to - from) >= kBlock) {
        if (const std::uint8_t* cut = scan_block(from, hash, limit)) {
            return cut;
        }
        from += kBlock;
    }
    return scan(from, to, hash, limit);
}

// Returns the length of the chunk at the start of `rest`, or kNoCut if the hash cuts nowhere in it.
// `rest` is at most kMaxChunk long.
std::size_t first_cut(Bytes rest) {
    if (rest.size() < kMinChunk) {
        return kNoCut;
    }
    const std::uint8_t* const base = rest.data();
    std::uint64_t hash = hash_before(base + kMinChunk);
    if (hash < kStrictLimit) {
        return kMinChunk;
    }
    // A cut at kTarget may be loose already, so the strict range ends one byte before it.
    const std::size_t strict_end = std::min(rest.size(), kTargetChunk - 1);
    const std::uint8_t* cut = scan_range(base + kMinChunk, base + strict_end, hash, kStrictLimit);
    if (cut == nullptr) {
        cut = scan_range(base + strict_end, base + rest.size(), hash, kLooseLimit);
    }
    return cut == nullptr ? kNoCut : static_cast<std::size_t>(cut - base);
}

}  // namespace

std::vector<std::size_t> cut_points(Bytes data, bool final) {
    std::vector<std::size_t> cuts;
    cuts.reserve(data.size() / kTargetChunk + 2);
    std::size_t start = 0;
    while (start < data.size()) {
        const Bytes rest = data.subspan(start, std::min(data.size() - start, kMaxChunk));
        std::size_t length = first_cut(rest);
        if (length == kNoCut) {
            if (!final && rest.size() < kMaxChunk) {
                break;
            }
            length = rest.size();
        }
        start += length;
        cuts.push_back(start);
    }
    return cuts;
}

}  // namespace mlbfs
