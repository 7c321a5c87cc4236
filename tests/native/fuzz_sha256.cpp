// SPDX-License-Identifier: Apache-2.0
// The variants of SHA-256 against one another, from any state, in one call and block by block.
// That they are SHA-256 is shown by the known digests here, and by the equality with hashlib in
// tests/property.

#include <algorithm>
#include <array>

#include "fuzz.h"
#include "sha256.h"

using mlbfs::Bytes;
using mlbfs::kSha256Block;
using mlbfs::kSha256State;

namespace {

using State = std::array<std::uint8_t, kSha256State>;

constexpr State kInitial = {0x6a, 0x09, 0xe6, 0x67, 0xbb, 0x67, 0xae, 0x85, 0x3c, 0x6e, 0xf3,
                            0x72, 0xa5, 0x4f, 0xf5, 0x3a, 0x51, 0x0e, 0x52, 0x7f, 0x9b, 0x05,
                            0x68, 0x8c, 0x1f, 0x83, 0xd9, 0xab, 0x5b, 0xe0, 0xcd, 0x19};

// The digest of "abc", FIPS 180-2 appendix B.1.
constexpr State kDigestOfAbc = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

void check_known() {
    std::array<std::uint8_t, kSha256Block> block{'a', 'b', 'c', 0x80};
    block[kSha256Block - 1] = 24;
    State state = kInitial;
    mlbfs::sha256_blocks(state, block);
    REQUIRE(state == kDigestOfAbc);
    for (const auto& found : mlbfs::sha256_variants(kInitial, block)) {
        REQUIRE(std::equal(found.begin(), found.end(), kDigestOfAbc.begin()));
    }
}

void check_agreement(const State& before, Bytes blocks) {
    State whole = before;
    mlbfs::sha256_blocks(whole, blocks);
    State pieced = before;
    for (std::size_t at = 0; at < blocks.size(); at += kSha256Block) {
        mlbfs::sha256_blocks(pieced, blocks.subspan(at, kSha256Block));
    }
    REQUIRE(whole == pieced);
    for (const auto& found : mlbfs::sha256_variants(before, blocks)) {
        REQUIRE(std::equal(found.begin(), found.end(), whole.begin()));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check_known();
    if (size < kSha256State) {
        return 0;
    }
    State before;
    std::copy_n(data, before.size(), before.begin());
    // The blocks end where the input does, so that a read past them is seen.
    const std::size_t length = (size - before.size()) / kSha256Block * kSha256Block;
    check_agreement(before, {data + size - length, length});
    return 0;
}
