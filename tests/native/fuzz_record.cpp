// SPDX-License-Identifier: Apache-2.0
// The record decoder on arbitrary bytes, and the encoder with the bytes as content.

#include <algorithm>
#include <vector>

#include "checksum.h"
#include "fuzz.h"
#include "record.h"

using mlbfs::Bytes;

namespace {

void decode(Bytes record) {
    if (record.size() < mlbfs::kHeaderSize) {
        return;
    }
    const Bytes header = record.first(mlbfs::kHeaderSize);
    const Bytes stored = record.subspan(mlbfs::kHeaderSize);
    mlbfs::RecordHeader parsed{};
    if (mlbfs::check_record(header, stored, {}, parsed) != mlbfs::kOk) {
        return;
    }
    REQUIRE(parsed.plain_size <= mlbfs::kMaxRecipe);
    std::vector<std::uint8_t> plain(parsed.plain_size);
    mlbfs::restore(parsed, stored, plain);
}

// The checksum is no secret, so what lies behind it must stand forged input too.
std::vector<std::uint8_t> with_checksum(Bytes record) {
    std::vector<std::uint8_t> forged(record.begin(), record.end());
    if (forged.size() >= mlbfs::kHeaderSize) {
        const Bytes bytes(forged);
        const auto value = mlbfs::checksum(bytes.first(mlbfs::kChecksumOffset),
                                           bytes.subspan(mlbfs::kHeaderSize));
        mlbfs::store<std::uint64_t>(forged, mlbfs::kChecksumOffset, value);
    }
    return forged;
}

void round_trip(Bytes plain) {
    const std::vector<std::uint8_t> id(mlbfs::kIdSize, 7);
    for (const std::size_t reference_size : {std::size_t{0}, plain.size() + 1}) {
        std::vector<std::uint8_t> out(mlbfs::kHeaderSize + plain.size());
        const mlbfs::EncodedRecord made =
            mlbfs::encode_record(mlbfs::Kind::kChunk, id, plain, 3, reference_size, out);
        REQUIRE(made.written <= made.size && made.size <= out.size());
        const bool in_place = made.written < made.size;
        const Bytes header = Bytes(out).first(mlbfs::kHeaderSize);
        const Bytes stored =
            in_place ? plain : Bytes(out).first(made.size).subspan(mlbfs::kHeaderSize);
        mlbfs::RecordHeader parsed{};
        REQUIRE(mlbfs::check_record(header, stored, id, parsed) == mlbfs::kOk);
        std::vector<std::uint8_t> back(parsed.plain_size);
        REQUIRE(mlbfs::restore(parsed, stored, back) == mlbfs::kOk);
        REQUIRE(std::ranges::equal(back, plain));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes input(data, size);
    decode(input);
    decode(with_checksum(input));
    round_trip(input.first(std::min(size, mlbfs::kMaxChunk)));
    return 0;
}
