// SPDX-License-Identifier: Apache-2.0
// Spans of bytes and little-endian fields. Every pointer of the kernels travels with its length.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace mlbfs {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

template <typename T>
constexpr T little_endian(T value) {
    if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1) {
        return value;
    } else {
        T swapped = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            swapped = static_cast<T>((swapped << 8) | ((value >> (8 * i)) & 0xff));
        }
        return swapped;
    }
}

// Reads an unsigned field. The caller has checked that `data` reaches that far.
template <typename T>
T load(Bytes data, std::size_t offset) {
    T value;
    std::memcpy(&value, data.subspan(offset, sizeof(T)).data(), sizeof(T));
    return little_endian(value);
}

template <typename T>
void store(MutableBytes data, std::size_t offset, T value) {
    value = little_endian(value);
    std::memcpy(data.subspan(offset, sizeof(T)).data(), &value, sizeof(T));
}

}  // namespace mlbfs
