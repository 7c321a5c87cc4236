// SPDX-License-Identifier: Apache-2.0

#include "record.h"

#include <algorithm>
#include <array>

#include "checksum.h"
#include "sampling.h"
#include "zstd_codec.h"

namespace mlbfs {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'M', 'R', 'E', 'C'};
constexpr std::size_t kKindAt = 4;
constexpr std::size_t kCodecAt = 5;
constexpr std::size_t kZeroAt = 6;
constexpr std::size_t kPlainAt = 8;
constexpr std::size_t kStoredAt = 12;
constexpr std::size_t kIdAt = 16;

constexpr std::uint8_t kLastCodec = static_cast<std::uint8_t>(Codec::kPlanes8);

Codec codec_of(unsigned width) {
    switch (width) {
        case 2: return Codec::kPlanes2;
        case 4: return Codec::kPlanes4;
        case 8: return Codec::kPlanes8;
        default: return Codec::kZstd;
    }
}

unsigned width_of(Codec codec) {
    switch (codec) {
        case Codec::kPlanes2: return 2;
        case Codec::kPlanes4: return 4;
        case Codec::kPlanes8: return 8;
        default: return 1;
    }
}

// Returns `width`, or 1 if planes turn out no better than plain zstd on a piece.
unsigned tried_width(Bytes plain, unsigned width, int level) {
    if (width < 2) {
        return width;
    }
    // Room for the piece and the overhead of a block per plane.
    std::array<std::uint8_t, kTrialSize + 256> out;
    const Bytes trial = trial_of(plain);
    const int trial_level = std::min(level, kTrialLevel);
    const std::size_t with_planes = compress(trial, width, trial_level, out);
    const std::size_t without = compress(trial, 1, trial_level, out);
    return with_planes != 0 && with_planes < without ? width : 1;
}

// Compresses `plain` into `out` and returns the bytes used, or 0 if that is not worth it.
std::size_t compress_payload(Bytes plain, int level, MutableBytes out, Codec& codec) {
    if (plain.empty()) {
        return 0;
    }
    const unsigned width = tried_width(plain, best_width(plain), level);
    if (width == 0) {
        return 0;
    }
    const std::size_t used = compress(plain, width, level, out.first(gain_limit(plain.size())));
    codec = used == 0 ? Codec::kRaw : codec_of(width);
    return used;
}

}  // namespace

bool is_kind(long value) {
    return value >= static_cast<long>(Kind::kChunk) &&
           value <= static_cast<long>(Kind::kRecipeRoot);
}

std::size_t max_plain_size(Kind kind) {
    return kind == Kind::kChunk ? kMaxChunk : kMaxRecipe;
}

Status parse_header(Bytes header, Bytes id, RecordHeader& parsed) {
    if (header.size() < kHeaderSize) {
        return kTruncated;
    }
    const std::uint8_t kind = header[kKindAt];
    const std::uint8_t codec = header[kCodecAt];
    if (!std::equal(kMagic.begin(), kMagic.end(), header.begin()) || !is_kind(kind) ||
        codec > kLastCodec || load<std::uint16_t>(header, kZeroAt) != 0) {
        return kBadHeader;
    }
    if (!id.empty() && !std::ranges::equal(id, header.subspan(kIdAt, kIdSize))) {
        return kBadHeader;
    }
    parsed = {static_cast<Kind>(kind), static_cast<Codec>(codec),
              load<std::uint32_t>(header, kPlainAt), load<std::uint32_t>(header, kStoredAt)};
    // Stops a forged length before memory is taken for it.
    if (parsed.plain_size > max_plain_size(parsed.kind)) {
        return kBadHeader;
    }
    const bool lengths_agree = parsed.codec == Codec::kRaw
                                   ? parsed.stored_size == parsed.plain_size
                                   : parsed.stored_size < parsed.plain_size;
    return lengths_agree ? kOk : kBadHeader;
}

Status check_record(Bytes header, Bytes stored, Bytes id, RecordHeader& parsed) {
    if (const Status status = parse_header(header, id, parsed); status != kOk) {
        return status;
    }
    if (stored.size() != parsed.stored_size) {
        return stored.size() < parsed.stored_size ? kTruncated : kBadHeader;
    }
    const std::uint64_t expected = load<std::uint64_t>(header, kChecksumOffset);
    return checksum(header.first(kChecksumOffset), stored) == expected ? kOk : kBadChecksum;
}

Status restore(const RecordHeader& parsed, Bytes stored, MutableBytes plain) {
    if (parsed.codec == Codec::kRaw) {
        std::copy(stored.begin(), stored.end(), plain.begin());
        return kOk;
    }
    return decompress(stored, width_of(parsed.codec), plain) ? kOk : kBadPayload;
}

EncodedRecord encode_record(Kind kind, Bytes id, Bytes plain, int level,
                            std::size_t reference_size, MutableBytes out) {
    const MutableBytes body = out.subspan(kHeaderSize);
    Codec codec = Codec::kRaw;
    const std::size_t compressed = compress_payload(plain, level, body, codec);
    const Bytes stored = codec == Codec::kRaw ? plain : Bytes(body).first(compressed);
    std::copy(kMagic.begin(), kMagic.end(), out.begin());
    out[kKindAt] = static_cast<std::uint8_t>(kind);
    out[kCodecAt] = static_cast<std::uint8_t>(codec);
    store<std::uint16_t>(out, kZeroAt, 0);
    store<std::uint32_t>(out, kPlainAt, static_cast<std::uint32_t>(plain.size()));
    store<std::uint32_t>(out, kStoredAt, static_cast<std::uint32_t>(stored.size()));
    std::copy(id.begin(), id.end(), out.begin() + kIdAt);
    store<std::uint64_t>(out, kChecksumOffset, checksum(out.first(kChecksumOffset), stored));
    const std::size_t size = kHeaderSize + stored.size();
    if (codec == Codec::kRaw) {
        if (plain.size() >= reference_size) {
            return {kHeaderSize, size, codec};
        }
        std::ranges::copy(plain, body.begin());
    }
    return {size, size, codec};
}

}  // namespace mlbfs
