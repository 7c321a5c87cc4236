// SPDX-License-Identifier: Apache-2.0

#include "zstd_codec.h"

#include <zstd.h>

#include <memory>
#include <new>
#include <vector>

#include "planes.h"

namespace mlbfs {
namespace {

struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

template <typename Context>
Context* checked(Context* context) {
    if (context == nullptr) {
        throw std::bad_alloc();
    }
    return context;
}

// Making a context costs more than compressing a chunk, so each thread keeps its own.
ZSTD_CCtx* compressor() {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context{checked(ZSTD_createCCtx())};
    return context.get();
}

ZSTD_DCtx* decompressor() {
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context{checked(ZSTD_createDCtx())};
    return context.get();
}

// Memory of this thread for planes; valid until its next call.
MutableBytes scratch(std::size_t size) {
    thread_local std::vector<std::uint8_t> memory;
    if (memory.size() < size) {
        memory.resize(size);
    }
    return MutableBytes(memory).first(size);
}

// Feeds `input` and ends its block or the frame. Returns whether everything fitted in `out`.
bool feed(ZSTD_CCtx* context, Bytes input, ZSTD_EndDirective end, ZSTD_outBuffer& out) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    const std::size_t left = ZSTD_compressStream2(context, &out, &in, end);
    return left == 0 && in.pos == in.size;
}

std::size_t compress_planes(Bytes plain, unsigned width, int level, MutableBytes out) {
    const MutableBytes planes = scratch(plain.size());
    split_planes(plain, width, planes);
    ZSTD_CCtx* const context = compressor();
    ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setPledgedSrcSize(context, plain.size());
    ZSTD_outBuffer buffer{out.data(), out.size(), 0};
    const std::size_t count = plain.size() / width;
    for (std::size_t plane = 0; plane + 1 < width; ++plane) {
        if (!feed(context, planes.subspan(plane * count, count), ZSTD_e_flush, buffer)) {
            return 0;
        }
    }
    // The bytes left over belong to the last plane.
    const Bytes last = planes.subspan((width - 1) * count);
    return feed(context, last, ZSTD_e_end, buffer) ? buffer.pos : 0;
}

// Whether `stored` is one frame of today's format that says it holds `plain_size` bytes. Checked
// before decompressing: a skippable or legacy frame, or two frames, would pass otherwise.
bool is_frame_of(Bytes stored, std::size_t plain_size) {
    if (stored.size() < 4 || load<std::uint32_t>(stored, 0) != ZSTD_MAGICNUMBER) {
        return false;
    }
    return ZSTD_getFrameContentSize(stored.data(), stored.size()) == plain_size &&
           ZSTD_findFrameCompressedSize(stored.data(), stored.size()) == stored.size();
}

}  // namespace

std::size_t compress(Bytes plain, unsigned width, int level, MutableBytes out) {
    if (width > 1) {
        return compress_planes(plain, width, level, out);
    }
    const std::size_t used = ZSTD_compressCCtx(compressor(), out.data(), out.size(), plain.data(),
                                               plain.size(), level);
    return ZSTD_isError(used) != 0 ? 0 : used;
}

bool decompress(Bytes stored, unsigned width, MutableBytes plain) {
    if (!is_frame_of(stored, plain.size())) {
        return false;
    }
    const MutableBytes target = width > 1 ? scratch(plain.size()) : plain;
    const std::size_t got = ZSTD_decompressDCtx(decompressor(), target.data(), target.size(),
                                                stored.data(), stored.size());
    if (got != plain.size()) {  // an error code is larger than any size
        return false;
    }
    if (width > 1) {
        join_planes(target, width, plain);
    }
    return true;
}

}  // namespace mlbfs
