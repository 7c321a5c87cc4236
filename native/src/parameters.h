// SPDX-License-Identifier: Apache-2.0
// Numbers shared with mlbfs/limits.py and mlbfs/store/{chunker,codec,recordformat,twin}.py, where
// their reasons stand. tests/unit/test_native_parameters.py proves that both sides are equal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlbfs {

inline constexpr std::size_t kMinChunk = 16 * 1024;
inline constexpr std::size_t kTargetChunk = 64 * 1024;
inline constexpr std::size_t kMaxChunk = 256 * 1024;

inline constexpr std::size_t kHashWindow = 64;
inline constexpr int kStrictBits = 18;
inline constexpr int kLooseBits = 14;

inline constexpr std::size_t kMaxRecipe = 1024 * 1024;
inline constexpr std::size_t kHeaderSize = 56;
inline constexpr std::size_t kReferenceSize = 16 * 1024;
inline constexpr std::size_t kChecksumOffset = 48;
inline constexpr std::size_t kIdSize = 32;
inline constexpr std::size_t kMaxRecord = kHeaderSize + kMaxRecipe;
inline constexpr std::int64_t kMaxPackOffset = std::int64_t{1} << 62;

inline constexpr int kGainShift = 5;
inline constexpr std::size_t kSampleSize = 4096;
inline constexpr std::size_t kSamplePieces = 4;
inline constexpr std::size_t kMinSample = 2048;
inline constexpr std::size_t kTrialSize = 8192;
inline constexpr int kTrialLevel = 3;
inline constexpr int kMinLevel = -7;
inline constexpr int kMaxLevel = 22;
inline constexpr std::uint32_t kFlatBitsQ8 = 8 * 256 - 28;
inline constexpr std::uint32_t kPlaneGainQ8 = 64;
inline constexpr std::uint32_t kWiderGainQ8 = 32;
inline constexpr std::uint32_t kHalfLog2EQ8 = 185;

inline constexpr std::uint64_t kMaxBatch = std::uint64_t{1} << 30;

}  // namespace mlbfs
