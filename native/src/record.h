// SPDX-License-Identifier: Apache-2.0
// The record of a pack; byte table in mlbfs/store/recordformat.py and docs/format/record-v1.md.
#pragma once

#include "bytes.h"
#include "parameters.h"
#include "status.h"

namespace mlbfs {

enum class Kind : std::uint8_t { kChunk = 1, kRecipeNode = 2, kRecipeRoot = 3 };

enum class Codec : std::uint8_t { kRaw = 0, kZstd = 1, kPlanes2 = 2, kPlanes4 = 3, kPlanes8 = 4 };

// A header whose fields agree with one another and with the limits.
struct RecordHeader {
    Kind kind;
    Codec codec;
    std::size_t plain_size;
    std::size_t stored_size;
};

bool is_kind(long value);
std::size_t max_plain_size(Kind kind);

// Parses and checks a header of kHeaderSize bytes. An empty `id` accepts any.
Status parse_header(Bytes header, Bytes id, RecordHeader& parsed);

// As parse_header, and verifies the length of the stored bytes and the checksum.
Status check_record(Bytes header, Bytes stored, Bytes id, RecordHeader& parsed);

// Fills `plain`, of parsed.plain_size bytes, from the stored bytes of a checked record.
Status restore(const RecordHeader& parsed, Bytes stored, MutableBytes plain);

// What became of one payload.
struct EncodedRecord {
    std::size_t written;  // bytes of `out` that were filled
    std::size_t size;     // length of the record, which is longer when its payload stays in `plain`
    Codec codec;
};

// Writes the record of `plain` to `out`, which has room for the header and all of `plain`. A raw
// payload of at least `reference_size` bytes is not copied: it follows the header from where it
// lies. `id` has kIdSize bytes; `plain` is at most max_plain_size(kind) long.
EncodedRecord encode_record(Kind kind, Bytes id, Bytes plain, int level,
                            std::size_t reference_size, MutableBytes out);

}  // namespace mlbfs
