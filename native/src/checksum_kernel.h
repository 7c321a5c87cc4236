// SPDX-License-Identifier: Apache-2.0
// Body of one variant of the checksum, compiled once per instruction set. C-shaped, and no
// templates of the standard library: the linker could keep the copy made for the newer processor.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stddef.h>
#include <stdint.h>

static uint64_t checksum_kernel(const uint8_t* head, size_t head_size, const uint8_t* body,
                                size_t body_size) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, head, head_size);
    XXH3_64bits_update(&state, body, body_size);
    return XXH3_64bits_digest(&state);
}
