// SPDX-License-Identifier: Apache-2.0
// Codes that leave the kernels; the same numbers as in mlbfs/store/recordformat.py.
#pragma once

#include <cstdint>

namespace mlbfs {

// A status is one of these or a negated errno.
using Status = std::int32_t;

enum ReadStatus : Status {
    kOk = 0,
    kWouldBlock = 1,
    kTruncated = 2,
    kBadHeader = 3,
    kBadChecksum = 4,
    kBadPayload = 5,
};

enum FileStatus : Status {
    kFileOk = 0,
    kFileChanged = 1,
    kFileNotRegular = 2,
};

}  // namespace mlbfs
