// SPDX-License-Identifier: Apache-2.0
// The checksum for processors with AVX2; compiled with -mavx2 and called only there.

#include "checksum_kernel.h"

namespace mlbfs {

uint64_t checksum_avx2(const uint8_t* head, size_t head_size, const uint8_t* body,
                       size_t body_size);

uint64_t checksum_avx2(const uint8_t* head, size_t head_size, const uint8_t* body,
                       size_t body_size) {
    return checksum_kernel(head, head_size, body, body_size);
}

}  // namespace mlbfs
