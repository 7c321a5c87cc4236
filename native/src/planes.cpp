// SPDX-License-Identifier: Apache-2.0
// Splitting by W is splitting into even and odd bytes, then each half by W / 2; joining is the
// reverse. On vectors of 16 bytes both steps are single instructions of the baseline of x86-64 and
// of AArch64, so no function multiversioning is needed.

#include "planes.h"

#include <array>

namespace mlbfs {
namespace {

using Vector [[gnu::vector_size(16)]] = std::uint8_t;
constexpr std::size_t kVector = sizeof(Vector);

inline Vector even(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
inline Vector odd(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
inline Vector zip_low(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Vector zip_high(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

// W vectors: W * 16 bytes of data, or 16 bytes of each of W planes.
template <std::size_t W>
struct Group {
    Vector at[W];
};

template <std::size_t W>
inline Group<W> split_group(const Group<W>& data) {
    if constexpr (W == 1) {
        return data;
    } else {
        Group<W / 2> evens;
        Group<W / 2> odds;
        for (std::size_t i = 0; i < W / 2; ++i) {
            evens.at[i] = even(data.at[2 * i], data.at[2 * i + 1]);
            odds.at[i] = odd(data.at[2 * i], data.at[2 * i + 1]);
        }
        evens = split_group(evens);
        odds = split_group(odds);
        Group<W> planes;
        for (std::size_t i = 0; i < W / 2; ++i) {
            planes.at[2 * i] = evens.at[i];
            planes.at[2 * i + 1] = odds.at[i];
        }
        return planes;
    }
}

template <std::size_t W>
inline Group<W> join_group(const Group<W>& planes) {
    if constexpr (W == 1) {
        return planes;
    } else {
        Group<W / 2> evens;
        Group<W / 2> odds;
        for (std::size_t i = 0; i < W / 2; ++i) {
            evens.at[i] = planes.at[2 * i];
            odds.at[i] = planes.at[2 * i + 1];
        }
        evens = join_group(evens);
        odds = join_group(odds);
        Group<W> data;
        for (std::size_t i = 0; i < W / 2; ++i) {
            data.at[2 * i] = zip_low(evens.at[i], odds.at[i]);
            data.at[2 * i + 1] = zip_high(evens.at[i], odds.at[i]);
        }
        return data;
    }
}

template <std::size_t W>
void split(Bytes data, MutableBytes out) {
    const std::size_t count = data.size() / W;
    const std::size_t vectors = count - count % kVector;
    Group<W> group;
    for (std::size_t item = 0; item < vectors; item += kVector) {
        std::memcpy(&group, data.subspan(item * W, sizeof(group)).data(), sizeof(group));
        group = split_group(group);
        for (std::size_t plane = 0; plane < W; ++plane) {
            std::memcpy(&out[plane * count + item], &group.at[plane], kVector);
        }
    }
    for (std::size_t item = vectors; item < count; ++item) {
        for (std::size_t plane = 0; plane < W; ++plane) {
            out[plane * count + item] = data[item * W + plane];
        }
    }
    for (std::size_t i = count * W; i < data.size(); ++i) {
        out[i] = data[i];
    }
}

template <std::size_t W>
void join(Bytes planes, MutableBytes out) {
    const std::size_t count = planes.size() / W;
    const std::size_t vectors = count - count % kVector;
    Group<W> group;
    for (std::size_t item = 0; item < vectors; item += kVector) {
        for (std::size_t plane = 0; plane < W; ++plane) {
            std::memcpy(&group.at[plane], &planes[plane * count + item], kVector);
        }
        group = join_group(group);
        std::memcpy(out.subspan(item * W, sizeof(group)).data(), &group, sizeof(group));
    }
    for (std::size_t item = vectors; item < count; ++item) {
        for (std::size_t plane = 0; plane < W; ++plane) {
            out[item * W + plane] = planes[plane * count + item];
        }
    }
    for (std::size_t i = count * W; i < planes.size(); ++i) {
        out[i] = planes[i];
    }
}

}  // namespace

void split_planes(Bytes data, std::size_t width, MutableBytes out) {
    switch (width) {
        case 2: return split<2>(data, out);
        case 4: return split<4>(data, out);
        default: return split<8>(data, out);
    }
}

void join_planes(Bytes planes, std::size_t width, MutableBytes out) {
    switch (width) {
        case 2: return join<2>(planes, out);
        case 4: return join<4>(planes, out);
        default: return join<8>(planes, out);
    }
}

}  // namespace mlbfs
