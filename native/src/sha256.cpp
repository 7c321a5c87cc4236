// SPDX-License-Identifier: Apache-2.0
// SHA-256 as in FIPS 180-4, section 6.2. Where the processor has instructions for it they are used,
// which is five times faster; the choice is made once, at run time.

#include "sha256.h"

#include <array>
#include <bit>
#ifdef MLBFS_HAVE_SHA_SOURCE
#include <cpuid.h>
#endif

#include "sha256_constants.h"

namespace mlbfs {

#ifdef MLBFS_HAVE_SHA_SOURCE
void sha256_blocks_x86(uint32_t* state, const uint8_t* data, size_t blocks);
#endif

namespace {

using Words = std::array<std::uint32_t, 8>;
using Kernel = void (*)(std::uint32_t*, const std::uint8_t*, std::size_t);

std::uint32_t load_big(const std::uint8_t* from) {
    return (std::uint32_t{from[0]} << 24) | (std::uint32_t{from[1]} << 16) |
           (std::uint32_t{from[2]} << 8) | std::uint32_t{from[3]};
}

void store_big(std::uint8_t* to, std::uint32_t word) {
    to[0] = static_cast<std::uint8_t>(word >> 24);
    to[1] = static_cast<std::uint8_t>(word >> 16);
    to[2] = static_cast<std::uint8_t>(word >> 8);
    to[3] = static_cast<std::uint8_t>(word);
}

std::uint32_t big_sigma0(std::uint32_t x) {
    return std::rotr(x, 2) ^ std::rotr(x, 13) ^ std::rotr(x, 22);
}

std::uint32_t big_sigma1(std::uint32_t x) {
    return std::rotr(x, 6) ^ std::rotr(x, 11) ^ std::rotr(x, 25);
}

std::uint32_t small_sigma0(std::uint32_t x) { return std::rotr(x, 7) ^ std::rotr(x, 18) ^ (x >> 3); }

std::uint32_t small_sigma1(std::uint32_t x) {
    return std::rotr(x, 17) ^ std::rotr(x, 19) ^ (x >> 10);
}

// One round. The words keep their places: the caller turns the names of the variables instead.
inline void round_of(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t& d,
                     std::uint32_t e, std::uint32_t f, std::uint32_t g, std::uint32_t& h,
                     std::uint32_t word) {
    const std::uint32_t first = h + big_sigma1(e) + (g ^ (e & (f ^ g))) + word;
    d += first;
    h = first + big_sigma0(a) + ((a & b) | (c & (a | b)));
}

void compress(std::uint32_t* state, const std::uint8_t* block) {
    std::uint32_t w[64];
    for (std::size_t i = 0; i < 16; ++i) {
        w[i] = load_big(block + 4 * i);
    }
    for (std::size_t i = 16; i < 64; ++i) {
        w[i] = w[i - 16] + small_sigma0(w[i - 15]) + w[i - 7] + small_sigma1(w[i - 2]);
    }
    std::uint32_t a = state[0];
    std::uint32_t b = state[1];
    std::uint32_t c = state[2];
    std::uint32_t d = state[3];
    std::uint32_t e = state[4];
    std::uint32_t f = state[5];
    std::uint32_t g = state[6];
    std::uint32_t h = state[7];
    for (std::size_t i = 0; i < 64; i += 8) {
        const std::uint32_t* const k = kSha256Constants + i;
        round_of(a, b, c, d, e, f, g, h, w[i] + k[0]);
        round_of(h, a, b, c, d, e, f, g, w[i + 1] + k[1]);
        round_of(g, h, a, b, c, d, e, f, w[i + 2] + k[2]);
        round_of(f, g, h, a, b, c, d, e, w[i + 3] + k[3]);
        round_of(e, f, g, h, a, b, c, d, w[i + 4] + k[4]);
        round_of(d, e, f, g, h, a, b, c, w[i + 5] + k[5]);
        round_of(c, d, e, f, g, h, a, b, w[i + 6] + k[6]);
        round_of(b, c, d, e, f, g, h, a, w[i + 7] + k[7]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void sha256_blocks_portable(std::uint32_t* state, const std::uint8_t* data, std::size_t blocks) {
    for (; blocks != 0; --blocks, data += kSha256Block) {
        compress(state, data);
    }
}

Kernel best_kernel() {
#ifdef MLBFS_HAVE_SHA_SOURCE
    if (sha256_is_fast()) {
        return sha256_blocks_x86;
    }
#endif
    return sha256_blocks_portable;
}

void run(Kernel kernel, std::span<std::uint8_t, kSha256State> state, Bytes blocks) {
    Words words;
    for (std::size_t i = 0; i < words.size(); ++i) {
        words[i] = load_big(state.data() + 4 * i);
    }
    kernel(words.data(), blocks.data(), blocks.size() / kSha256Block);
    for (std::size_t i = 0; i < words.size(); ++i) {
        store_big(state.data() + 4 * i, words[i]);
    }
}

}  // namespace

// Asks the processor itself: not every compiler that can make the instructions can name them.
bool sha256_is_fast() {
#ifdef MLBFS_HAVE_SHA_SOURCE
    constexpr unsigned kSse41 = 1u << 19;  // leaf 1, ECX; such a processor has SSSE3 as well
    constexpr unsigned kSha = 1u << 29;    // leaf 7, EBX
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kSse41) == 0) {
        return false;
    }
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kSha) != 0;
#else
    return false;
#endif
}

void sha256_blocks(std::span<std::uint8_t, kSha256State> state, Bytes blocks) {
    static const Kernel kernel = best_kernel();
    run(kernel, state, blocks);
}

std::vector<std::vector<std::uint8_t>> sha256_variants(
    std::span<const std::uint8_t, kSha256State> state, Bytes blocks) {
    std::vector<Kernel> kernels{sha256_blocks_portable};
    if (sha256_is_fast()) {
        kernels.push_back(best_kernel());
    }
    std::vector<std::vector<std::uint8_t>> states;
    for (const Kernel kernel : kernels) {
        states.emplace_back(state.begin(), state.end());
        run(kernel, std::span<std::uint8_t, kSha256State>(states.back()), blocks);
    }
    return states;
}

}  // namespace mlbfs
