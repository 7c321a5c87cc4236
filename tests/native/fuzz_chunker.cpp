// SPDX-License-Identifier: Apache-2.0
// The chunker against the rule written down plainly, on data grown from the input, in one call and
// in windows.

#include <algorithm>
#include <vector>

#include "chunker.h"
#include "fuzz.h"
#include "gear_table.h"
#include "parameters.h"

using mlbfs::Bytes;

namespace {

// Repeats the input up to `size` bytes, changed a little each time.
std::vector<std::uint8_t> grown(Bytes seed, std::size_t size) {
    std::vector<std::uint8_t> data(size);
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t round = i / seed.size();
        data[i] = static_cast<std::uint8_t>(seed[i % seed.size()] + round * (round >> 3));
    }
    return data;
}

std::uint64_t hash_at(Bytes data, std::size_t position) {
    std::uint64_t hash = 0;
    for (std::size_t i = position - mlbfs::kHashWindow; i < position; ++i) {
        hash = 2 * hash + mlbfs::kGear[data[i]];
    }
    return hash;
}

bool is_cut(Bytes data, std::size_t start, std::size_t position) {
    const std::size_t length = position - start;
    if (length == mlbfs::kMaxChunk || position == data.size()) {
        return true;
    }
    const int bits = length < mlbfs::kTargetChunk ? mlbfs::kStrictBits : mlbfs::kLooseBits;
    return length >= mlbfs::kMinChunk && hash_at(data, position) >> (64 - bits) == 0;
}

// Every cut is one by the rule. That none was missed is shown by the equality with the twin in
// tests/property; doing it here as well would make each input thirty times slower.
void check_rule(Bytes data, const std::vector<std::size_t>& cuts) {
    std::size_t start = 0;
    for (const std::size_t cut : cuts) {
        REQUIRE(cut > start && cut <= data.size());
        REQUIRE(is_cut(data, start, cut));
        start = cut;
    }
    REQUIRE(start == data.size());
}

std::vector<std::size_t> in_windows(Bytes data, std::size_t window) {
    std::vector<std::size_t> cuts;
    std::size_t start = 0;
    for (std::size_t end = window; end < data.size(); end += window) {
        for (const std::size_t cut : mlbfs::cut_points(data.subspan(start, end - start), false)) {
            cuts.push_back(start + cut);
        }
        start = cuts.empty() ? 0 : cuts.back();
    }
    for (const std::size_t cut : mlbfs::cut_points(data.subspan(start), true)) {
        cuts.push_back(start + cut);
    }
    return cuts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        REQUIRE(mlbfs::cut_points({data, size}, true).size() == (size != 0 ? 1u : 0u));
        return 0;
    }
    const std::size_t total = (data[0] + 256u * data[1]) * 5;
    const std::size_t window = 1000 + 256u * data[2];
    const std::vector<std::uint8_t> content = grown({data + 3, size - 3}, total);
    const std::vector<std::size_t> cuts = mlbfs::cut_points(content, true);
    check_rule(content, cuts);
    REQUIRE(cuts == in_windows(content, window));
    return 0;
}
