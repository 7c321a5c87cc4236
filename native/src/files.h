// SPDX-License-Identifier: Apache-2.0
// System calls of the store: reading records and input files.
#pragma once

#include <string>
#include <vector>

#include "bytes.h"
#include "status.h"

namespace mlbfs {

// Fills `header` and then `body` from `offset` of a descriptor. With `nowait` it returns
// kWouldBlock rather than wait for the disk.
Status read_split(int fd, std::int64_t offset, MutableBytes header, MutableBytes body, bool nowait);

struct FileRequest {
    const char* path;  // ends with NUL; nullptr is refused with -EINVAL
    std::size_t room;  // size seen at the scan; a longer file has changed
};

struct FileResult {
    Status status = 0;
    std::size_t offset = 0;  // in `out`
    std::size_t length = 0;
    std::uint32_t mode = 0;
};

// Reads whole files one after the other into `out`, which has room for the sum of the requests.
// Returns the bytes used.
std::size_t read_files(std::span<const FileRequest> requests, std::span<FileResult> results,
                       MutableBytes out);

struct FolderEntry {
    std::string name;
    std::uint32_t mode = 0;  // 0: the entry could not be looked at, `size` is -errno
    std::int64_t size = 0;
    // What a change of the file changes: device, inode, size, modification and change time in ns.
    std::int64_t stamp[5] = {};
};

// Lists a folder with the mode and size of each entry, links not followed, by name in byte order.
// Returns 0 or -errno.
Status list_folder(const char* path, std::vector<FolderEntry>& entries);

}  // namespace mlbfs
