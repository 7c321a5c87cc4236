// SPDX-License-Identifier: Apache-2.0
// SHA-256 with the SHA extensions of x86; compiled with -msha -msse4.1 and called only where the
// processor has them. C-shaped, for the same reason as checksum_kernel.h.
//
// sha256rnds2 does two rounds on words packed as (A B E F) and (C D G H); sha256msg1 and
// sha256msg2 are the two halves of the message schedule, four words at a time. Each group of four
// rounds below also makes the four message words that are used twelve rounds later.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256_constants.h"

namespace mlbfs {

void sha256_blocks_x86(uint32_t* state, const uint8_t* data, size_t blocks);

namespace {

inline __m128i load_words(const uint8_t* from) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), order);
}

inline void four_rounds(__m128i& abef, __m128i& cdgh, __m128i words, size_t round) {
    const __m128i* const constants = reinterpret_cast<const __m128i*>(kSha256Constants + round);
    const __m128i sum = _mm_add_epi32(words, _mm_load_si128(constants));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

// Returns the next four message words after `d`, the oldest of the sixteen before being in `a`.
inline __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d) {
    const __m128i partial = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    return _mm_sha256msg2_epu32(partial, d);
}

}  // namespace

void sha256_blocks_x86(uint32_t* state, const uint8_t* data, size_t blocks) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));       // D C B A
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));  // H G F E
    const __m128i cdab = _mm_shuffle_epi32(low, 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(high, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

    for (; blocks != 0; --blocks, data += 64) {
        const __m128i abef_before = abef;
        const __m128i cdgh_before = cdgh;
        __m128i w0 = load_words(data);
        __m128i w1 = load_words(data + 16);
        __m128i w2 = load_words(data + 32);
        __m128i w3 = load_words(data + 48);
#pragma GCC unroll 3
        for (size_t round = 0; round < 48; round += 16) {
            four_rounds(abef, cdgh, w0, round);
            w0 = next_words(w0, w1, w2, w3);
            four_rounds(abef, cdgh, w1, round + 4);
            w1 = next_words(w1, w2, w3, w0);
            four_rounds(abef, cdgh, w2, round + 8);
            w2 = next_words(w2, w3, w0, w1);
            four_rounds(abef, cdgh, w3, round + 12);
            w3 = next_words(w3, w0, w1, w2);
        }
        four_rounds(abef, cdgh, w0, 48);
        four_rounds(abef, cdgh, w1, 52);
        four_rounds(abef, cdgh, w2, 56);
        four_rounds(abef, cdgh, w3, 60);
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }

    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace mlbfs
