// SPDX-License-Identifier: Apache-2.0
// Integers only, so that the choice is the same as the one of mlbfs/store/codec.py to the bit.

#include "sampling.h"

#include <algorithm>
#include <array>

#include "parameters.h"

namespace mlbfs {
namespace {

// log2 of a positive number in 1/256 units, rounded down.
constexpr std::uint32_t log2_q8(std::uint64_t value) {
    const unsigned whole = static_cast<unsigned>(std::bit_width(value)) - 1;
    std::uint64_t mantissa = whole <= 15 ? (value << 15) >> whole : value >> (whole - 15);
    std::uint32_t fraction = 0;
    for (int i = 0; i < 8; ++i) {
        mantissa = (mantissa * mantissa) >> 15;
        fraction <<= 1;
        if ((mantissa >> 16) != 0) {
            mantissa >>= 1;
            fraction |= 1;
        }
    }
    return (whole << 8) | fraction;
}

// n * log2(n) for every count a sample can have.
constexpr auto kSpent = [] {
    std::array<std::uint32_t, kSampleSize + 1> table{};
    for (std::uint32_t n = 1; n <= kSampleSize; ++n) {
        table[n] = n * log2_q8(n);
    }
    return table;
}();

// Counts of each byte value in each of W planes.
template <std::size_t W>
using Counts = std::array<std::array<std::uint16_t, 256>, W>;

// A sample is a multiple of eight bytes; the caller has checked that it is not empty.
void count_planes(Bytes piece, Counts<8>& counts) {
    for (std::size_t i = 0; i + 8 <= piece.size(); i += 8) {
        for (std::size_t plane = 0; plane < 8; ++plane) {
            ++counts[plane][piece[i + plane]];
        }
    }
}

template <std::size_t W>
Counts<W / 2> fold(const Counts<W>& counts) {
    Counts<W / 2> folded;
    for (std::size_t plane = 0; plane < W / 2; ++plane) {
        for (std::size_t value = 0; value < 256; ++value) {
            folded[plane][value] = static_cast<std::uint16_t>(counts[plane][value] +
                                                              counts[plane + W / 2][value]);
        }
    }
    return folded;
}

template <std::size_t W>
bool is_flat(const Counts<W>& counts, std::uint32_t length) {
    const std::uint32_t count = length / static_cast<std::uint32_t>(W);
    const std::uint32_t pairs = log2_q8(std::uint64_t{count} * (count - 1));
    std::uint32_t total = 0;
    for (const auto& plane : counts) {
        std::uint32_t squares = 0;  // at most kSampleSize squared: 24 bits
        for (const std::uint32_t n : plane) {
            squares += n * n;
        }
        const std::uint32_t agreeing = log2_q8(std::max(1u, squares - count));
        total += pairs > agreeing ? pairs - agreeing : 0;
    }
    return total / W > kFlatBitsQ8;
}

template <std::size_t W>
std::uint32_t shannon_bits_q8(const Counts<W>& counts, std::uint32_t length) {
    const std::uint32_t count = length / static_cast<std::uint32_t>(W);
    std::uint32_t total = 0;
    for (const auto& plane : counts) {
        std::uint32_t spent = 0;  // at most kSampleSize * 12 * 256: 24 bits
        std::uint32_t symbols = 0;
        for (const std::uint32_t n : plane) {
            spent += kSpent[n];
            symbols += n != 0;
        }
        total += log2_q8(count) - spent / count;
        total += (symbols - 1) * kHalfLog2EQ8 / count;
    }
    return total / static_cast<std::uint32_t>(W);
}

}  // namespace

unsigned best_width(Bytes data) {
    if (data.size() < kMinSample) {
        return 1;
    }
    Counts<8> eight{};
    std::uint32_t length = kSampleSize;
    if (data.size() <= kSampleSize) {
        length = static_cast<std::uint32_t>(data.size() & ~std::size_t{7});
        count_planes(data.first(length), eight);
    } else {
        constexpr std::size_t piece = kSampleSize / kSamplePieces;
        const std::size_t room = data.size() - piece;
        for (std::size_t i = 0; i < kSamplePieces; ++i) {
            const std::size_t start = room * i / (kSamplePieces - 1) & ~std::size_t{7};
            count_planes(data.subspan(start, piece), eight);
        }
    }
    const Counts<4> four = fold<8>(eight);
    const Counts<2> two = fold<4>(four);
    const Counts<1> one = fold<2>(two);
    if (is_flat<1>(one, length) && is_flat<2>(two, length) && is_flat<4>(four, length) &&
        is_flat<8>(eight, length)) {
        return 0;
    }
    std::uint32_t best = shannon_bits_q8<1>(one, length);
    std::uint32_t step = kPlaneGainQ8;
    unsigned width = 1;
    const auto consider = [&](unsigned candidate, std::uint32_t bits) {
        if (bits + step <= best) {
            width = candidate;
            best = bits;
            step = kWiderGainQ8;
        }
    };
    consider(2, shannon_bits_q8<2>(two, length));
    consider(4, shannon_bits_q8<4>(four, length));
    consider(8, shannon_bits_q8<8>(eight, length));
    return width;
}

Bytes trial_of(Bytes data) {
    if (data.size() <= kTrialSize) {
        return data;
    }
    return data.subspan((data.size() - kTrialSize) / 2 & ~std::size_t{7}, kTrialSize);
}

std::size_t gain_limit(std::size_t length) {
    return length - std::max(std::size_t{1}, length >> kGainShift);
}

}  // namespace mlbfs
