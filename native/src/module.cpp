// SPDX-License-Identifier: Apache-2.0
// The Python module mlbfs._native: arguments in, results out, the interpreter lock released around
// the kernels. No algorithm lives here. Signatures and docstrings are in mlbfs/_native.pyi.

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <cerrno>
#include <cstring>

#include "checksum.h"
#include "chunker.h"
#include "files.h"
#include "gear_table.h"
#include "parameters.h"
#include "planes.h"
#include "record.h"
#include "sampling.h"
#include "sha256.h"

namespace nb = nanobind;

namespace mlbfs {
namespace {

// The bytes of an object with the buffer protocol, held while this lives.
class Buffer {
public:
    explicit Buffer(nb::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) {
            throw nb::python_error();
        }
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { PyBuffer_Release(&view_); }

    Bytes bytes() const {
        return {static_cast<const std::uint8_t*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

private:
    Py_buffer view_{};
};

Bytes bytes_of(const nb::bytes& object) {
    return {static_cast<const std::uint8_t*>(object.data()), object.size()};
}

// A bytes object under construction: nobody else sees it, so a kernel may fill it unlocked.
class BytesBuilder {
public:
    explicit BytesBuilder(std::size_t size)
        : object_(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size))) {
        if (object_ == nullptr) {
            throw nb::python_error();
        }
        room_ = {reinterpret_cast<std::uint8_t*>(PyBytes_AsString(object_)), size};
    }
    BytesBuilder(const BytesBuilder&) = delete;
    BytesBuilder& operator=(const BytesBuilder&) = delete;
    ~BytesBuilder() { Py_XDECREF(object_); }

    MutableBytes room() const { return room_; }

    nb::bytes finish() {
        PyObject* const done = object_;
        object_ = nullptr;
        return nb::steal<nb::bytes>(done);
    }

    // Returns the first `size` bytes as the finished object. A shorter one is a copy: the stable
    // ABI cannot resize, and what comes out shorter was compressed, which costs far more.
    nb::bytes finish(std::size_t size) {
        if (size == room_.size()) {
            return finish();
        }
        BytesBuilder shorter(size);
        {
            nb::gil_scoped_release unlocked;
            std::memcpy(shorter.room_.data(), room_.data(), size);
        }
        return shorter.finish();
    }

private:
    PyObject* object_;
    MutableBytes room_;
};

nb::bytes no_bytes() { return nb::bytes("", 0); }

nb::list cut_points_py(nb::handle data, bool final) {
    const Buffer buffer(data);
    std::vector<std::size_t> cuts;
    {
        nb::gil_scoped_release unlocked;
        cuts = cut_points(buffer.bytes(), final);
    }
    nb::list result;
    for (const std::size_t cut : cuts) {
        result.append(cut);
    }
    return result;
}

unsigned best_width_py(nb::handle data) {
    const Buffer buffer(data);
    nb::gil_scoped_release unlocked;
    return best_width(buffer.bytes());
}

// One record to make; the spans point into objects that the caller holds.
struct Job {
    Bytes plain;
    Bytes id;
    std::size_t offset = 0;
    EncodedRecord record{};
};

constexpr std::size_t kNoReference = static_cast<std::size_t>(-1);  // longer than any payload

Kind checked_kind(long kind) {
    if (!is_kind(kind)) {
        throw nb::value_error("unknown record kind");
    }
    return static_cast<Kind>(kind);
}

int checked_level(long level) {
    if (level < kMinLevel || level > kMaxLevel) {
        throw nb::value_error("level must be from -7 to 22");
    }
    return static_cast<int>(level);
}

Job checked_job(Bytes plain, const nb::bytes& id, Kind kind) {
    if (id.size() != kIdSize) {
        throw nb::value_error("id must have 32 bytes");
    }
    if (plain.size() > max_plain_size(kind)) {
        throw nb::value_error("payload is longer than a record may be");
    }
    return {plain, bytes_of(id)};
}

Bytes checked_span(Bytes data, std::int64_t start, std::int64_t end) {
    if (start < 0 || start > end || static_cast<std::uint64_t>(end) > data.size()) {
        throw nb::value_error("span is outside the data");
    }
    return data.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start));
}

// Makes the records of the jobs one after the other, unlocked, and returns them.
nb::bytes encode_jobs(std::span<Job> jobs, Kind kind, int level, std::size_t reference_size) {
    std::size_t room = 0;  // cannot overflow: the payloads are in memory already
    for (const Job& job : jobs) {
        room += kHeaderSize + job.plain.size();
    }
    BytesBuilder blob(room);
    std::size_t used = 0;
    {
        nb::gil_scoped_release unlocked;
        for (Job& job : jobs) {
            job.offset = used;
            job.record = encode_record(kind, job.id, job.plain, level, reference_size,
                                       blob.room().subspan(used));
            used += job.record.written;
        }
    }
    return blob.finish(used);
}

nb::tuple encode_records_py(nb::handle data, nb::sequence spans, long kind_number, long level) {
    const Buffer buffer(data);
    const Kind kind = checked_kind(kind_number);
    const int checked = checked_level(level);
    std::vector<Job> jobs;
    std::vector<nb::bytes> ids;  // held: a list may change while the lock is released
    for (nb::handle item : spans) {
        const nb::tuple span = nb::cast<nb::tuple>(item);
        if (span.size() != 3) {
            throw nb::value_error("span must be (start, end, id)");
        }
        ids.push_back(nb::cast<nb::bytes>(span[2]));
        const Bytes plain = checked_span(buffer.bytes(), nb::cast<std::int64_t>(span[0]),
                                         nb::cast<std::int64_t>(span[1]));
        jobs.push_back(checked_job(plain, ids.back(), kind));
    }
    const nb::bytes blob = encode_jobs(jobs, kind, checked, kReferenceSize);
    nb::list table;
    for (const Job& job : jobs) {
        table.append(nb::make_tuple(job.offset, job.record.size,
                                    static_cast<unsigned>(job.record.codec)));
    }
    return nb::make_tuple(blob, table);
}

nb::bytes encode_record_py(long kind_number, nb::bytes id, nb::handle plain, long level) {
    const Buffer buffer(plain);
    const Kind kind = checked_kind(kind_number);
    Job job = checked_job(buffer.bytes(), id, kind);
    return encode_jobs({&job, 1}, kind, checked_level(level), kNoReference);
}

nb::tuple failed(Status status) { return nb::make_tuple(status, no_bytes()); }

// Returns the status and the plain bytes of a checked compressed record.
nb::tuple restored(const RecordHeader& header, Bytes stored) {
    BytesBuilder plain(header.plain_size);
    Status status;
    {
        nb::gil_scoped_release unlocked;
        status = restore(header, stored, plain.room());
    }
    return status == kOk ? nb::make_tuple(status, plain.finish()) : failed(status);
}

nb::tuple read_record_py(int fd, std::int64_t offset, std::int64_t length, nb::bytes id,
                         bool nowait) {
    if (id.size() != kIdSize) {
        throw nb::value_error("id must have 32 bytes");
    }
    // Stops a forged length of the index before memory is taken for it.
    if (offset < 0 || offset > kMaxPackOffset || length < static_cast<std::int64_t>(kHeaderSize) ||
        length > static_cast<std::int64_t>(kMaxRecord)) {
        return failed(kBadHeader);
    }
    // The stored bytes go straight into an object, which is the answer if they are raw.
    BytesBuilder stored(static_cast<std::size_t>(length) - kHeaderSize);
    std::uint8_t head[kHeaderSize];
    RecordHeader header{};
    Status status;
    {
        nb::gil_scoped_release unlocked;
        status = read_split(fd, offset, head, stored.room(), nowait);
        if (status == kOk) {
            status = check_record(head, stored.room(), bytes_of(id), header);
        }
    }
    if (status != kOk) {
        return failed(status);
    }
    if (header.codec == Codec::kRaw) {
        return nb::make_tuple(status, stored.finish());
    }
    return restored(header, stored.room());
}

nb::tuple decode_record_py(nb::handle record, nb::object id) {
    const Buffer buffer(record);
    Bytes expected;
    if (!id.is_none()) {
        expected = bytes_of(nb::cast<nb::bytes>(id));
        if (expected.size() != kIdSize) {
            throw nb::value_error("id must have 32 bytes");
        }
    }
    const Bytes data = buffer.bytes();
    if (data.size() < kHeaderSize) {
        return failed(kTruncated);
    }
    RecordHeader header{};
    Status status;
    {
        nb::gil_scoped_release unlocked;
        status = check_record(data.first(kHeaderSize), data.subspan(kHeaderSize), expected, header);
    }
    return status == kOk ? restored(header, data.subspan(kHeaderSize)) : failed(status);
}

nb::tuple read_files_py(const std::vector<nb::bytes>& paths,
                        const std::vector<std::int64_t>& sizes) {
    if (paths.size() != sizes.size()) {
        throw nb::value_error("paths and sizes differ in length");
    }
    std::vector<FileRequest> requests;
    std::uint64_t room = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        // Both terms are below 2^63, so the sum cannot wrap before it is checked.
        room += static_cast<std::uint64_t>(sizes[i]);
        if (sizes[i] < 0 || room > kMaxBatch) {
            throw nb::value_error("sizes are not acceptable");
        }
        const bool whole = std::strlen(paths[i].c_str()) == paths[i].size();
        requests.push_back({whole ? paths[i].c_str() : nullptr,
                            static_cast<std::size_t>(sizes[i])});
    }
    BytesBuilder blob(static_cast<std::size_t>(room));
    std::vector<FileResult> results(requests.size());
    std::size_t used;
    {
        nb::gil_scoped_release unlocked;
        used = read_files(requests, results, blob.room());
    }
    nb::list table;
    for (const FileResult& result : results) {
        table.append(nb::make_tuple(result.status, result.offset, result.length, result.mode));
    }
    return nb::make_tuple(blob.finish(used), table);
}

nb::tuple list_folder_py(const nb::bytes& path) {
    std::vector<FolderEntry> entries;
    Status status = -EINVAL;
    if (std::strlen(path.c_str()) == path.size()) {
        nb::gil_scoped_release unlocked;
        status = list_folder(path.c_str(), entries);
    }
    nb::list table;
    if (status == 0) {
        for (const FolderEntry& entry : entries) {
            const nb::bytes name(entry.name.data(), entry.name.size());
            const nb::bytes stamp(entry.stamp, entry.mode == 0 ? 0 : sizeof entry.stamp);
            table.append(nb::make_tuple(name, entry.mode, entry.size, stamp));
        }
    }
    return nb::make_tuple(status, table);
}

std::size_t checked_width(std::size_t width) {
    if (width != 2 && width != 4 && width != 8) {
        throw nb::value_error("width must be 2, 4 or 8");
    }
    return width;
}

template <void Transform(Bytes, std::size_t, MutableBytes)>
nb::bytes transformed(nb::handle data, std::size_t width) {
    const Buffer buffer(data);
    BytesBuilder out(buffer.bytes().size());
    Transform(buffer.bytes(), checked_width(width), out.room());
    return out.finish();
}

std::vector<std::uint64_t> checksums_py(nb::handle head, nb::handle body) {
    const Buffer first(head);
    const Buffer second(body);
    return checksum_variants(first.bytes(), second.bytes());
}

std::span<const std::uint8_t, kSha256State> checked_state(const nb::bytes& state) {
    if (state.size() != kSha256State) {
        throw nb::value_error("state must have 32 bytes");
    }
    return bytes_of(state).first<kSha256State>();
}

Bytes checked_blocks(Bytes data) {
    if (data.size() % kSha256Block != 0) {
        throw nb::value_error("data must be whole blocks of 64 bytes");
    }
    return data;
}

nb::bytes sha256_blocks_py(const nb::bytes& state, nb::handle data) {
    const Buffer buffer(data);
    const Bytes blocks = checked_blocks(buffer.bytes());
    const std::span<const std::uint8_t, kSha256State> before = checked_state(state);
    std::uint8_t after[kSha256State];
    std::memcpy(after, before.data(), kSha256State);
    {
        nb::gil_scoped_release unlocked;
        sha256_blocks(after, blocks);
    }
    return nb::bytes(after, kSha256State);
}

nb::list sha256_variants_py(const nb::bytes& state, nb::handle data) {
    const Buffer buffer(data);
    nb::list states;
    for (const auto& found :
         sha256_variants(checked_state(state), checked_blocks(buffer.bytes()))) {
        states.append(nb::bytes(found.data(), found.size()));
    }
    return states;
}

nb::dict parameters() {
    nb::dict all;
    all["MIN_CHUNK_SIZE"] = kMinChunk;
    all["TARGET_CHUNK_SIZE"] = kTargetChunk;
    all["MAX_CHUNK_SIZE"] = kMaxChunk;
    all["HASH_WINDOW"] = kHashWindow;
    all["STRICT_BITS"] = kStrictBits;
    all["LOOSE_BITS"] = kLooseBits;
    all["MAX_RECIPE_RECORD"] = kMaxRecipe;
    all["MAX_RECORD_SIZE"] = kMaxRecord;
    all["RECORD_HEADER_SIZE"] = kHeaderSize;
    all["REFERENCE_SIZE"] = kReferenceSize;
    all["CHECKSUM_OFFSET"] = kChecksumOffset;
    all["MAX_PACK_OFFSET"] = kMaxPackOffset;
    all["ID_SIZE"] = kIdSize;
    all["GAIN_SHIFT"] = kGainShift;
    all["SAMPLE_SIZE"] = kSampleSize;
    all["SAMPLE_PIECES"] = kSamplePieces;
    all["MIN_SAMPLE"] = kMinSample;
    all["TRIAL_SIZE"] = kTrialSize;
    all["TRIAL_LEVEL"] = kTrialLevel;
    all["MIN_LEVEL"] = kMinLevel;
    all["MAX_LEVEL"] = kMaxLevel;
    all["FLAT_BITS_Q8"] = kFlatBitsQ8;
    all["PLANE_GAIN_Q8"] = kPlaneGainQ8;
    all["WIDER_GAIN_Q8"] = kWiderGainQ8;
    all["HALF_LOG2_E_Q8"] = kHalfLog2EQ8;
    all["MAX_BATCH_SIZE"] = kMaxBatch;
    nb::list gear;
    for (const std::uint64_t value : kGear) {
        gear.append(value);
    }
    all["GEAR"] = nb::tuple(gear);
    return all;
}

}  // namespace
}  // namespace mlbfs

NB_MODULE(_native, m) {
    using namespace nb::literals;
    using namespace mlbfs;
    m.doc() = "The kernels of mlbfs in C++; twins of mlbfs.store.twin.";
    m.def("cut_points", &cut_points_py, "data"_a, "final"_a);
    m.def("best_width", &best_width_py, "data"_a);
    m.def("encode_records", &encode_records_py, "data"_a, "spans"_a, "kind"_a, "level"_a);
    m.def("encode_record", &encode_record_py, "kind"_a, "id32"_a, "plain"_a, "level"_a);
    m.def("read_record", &read_record_py, "fd"_a, "offset"_a, "length"_a, "id32"_a, "nowait"_a);
    m.def("decode_record", &decode_record_py, "record"_a, "id32"_a.none());
    m.def("read_files", &read_files_py, "paths"_a, "sizes"_a);
    m.def("list_folder", &list_folder_py, "path"_a);
    m.def("sha256_blocks", &sha256_blocks_py, "state"_a, "data"_a);
    m.def("sha256_is_fast", &sha256_is_fast);
    m.def("split_planes", &transformed<&split_planes>, "data"_a, "width"_a);
    m.def("join_planes", &transformed<&join_planes>, "planes"_a, "width"_a);
    m.def("checksums", &checksums_py, "head"_a, "body"_a);
    m.def("sha256_variants", &sha256_variants_py, "state"_a, "data"_a);
    m.def("parameters", &parameters);
}
