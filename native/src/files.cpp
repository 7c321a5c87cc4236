// SPDX-License-Identifier: Apache-2.0

#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace mlbfs {
namespace {

// O_NONBLOCK: opening a FIFO must not wait for a writer.
constexpr int kOpenFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    int get() const { return fd_; }

private:
    int fd_;
};

// What the file system says when the page cache alone cannot answer, or cannot tell.
bool would_block(int error) {
    return error == EAGAIN || error == EOPNOTSUPP || error == ENOSYS;
}

int open_retrying(const char* path) {
    int fd;
    do {
        fd = ::open(path, kOpenFlags);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

// Reads until `out` is full or the file ends. Returns the bytes read, or -errno.
std::int64_t read_fully(int fd, MutableBytes out) {
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t got = ::read(fd, out.data() + done, out.size() - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return static_cast<std::int64_t>(done);
}

struct CloseFolder {
    void operator()(DIR* folder) const { ::closedir(folder); }
};

// Wraps round for times that 64 bits of nanoseconds cannot hold; such a stamp is as good as another.
std::int64_t nanoseconds(const timespec& time) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
                                     static_cast<std::uint64_t>(time.tv_nsec));
}

FolderEntry look_at(int folder, const char* name) {
    FolderEntry entry{name};
    struct stat status;
    if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        entry.mode = status.st_mode;
        entry.size = status.st_size;
        entry.stamp[0] = static_cast<std::int64_t>(status.st_dev);
        entry.stamp[1] = static_cast<std::int64_t>(status.st_ino);
        entry.stamp[2] = status.st_size;
        entry.stamp[3] = nanoseconds(status.st_mtim);
        entry.stamp[4] = nanoseconds(status.st_ctim);
    } else {
        entry.size = -errno;
    }
    return entry;
}

bool is_dot(const char* name) {
    return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

bool same_time(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool same_stamp(const struct stat& a, const struct stat& b) {
    return a.st_size == b.st_size && same_time(a.st_mtim, b.st_mtim) &&
           same_time(a.st_ctim, b.st_ctim);
}

// Reads one file into the front of `room` and fills status, length and mode of `result`.
void read_file(const char* path, MutableBytes room, FileResult& result) {
    if (path == nullptr) {
        result.status = -EINVAL;
        return;
    }
    const Descriptor file(open_retrying(path));
    struct stat before;
    if (file.get() < 0 || ::fstat(file.get(), &before) != 0) {
        result.status = -errno;
        return;
    }
    result.mode = before.st_mode;
    if (!S_ISREG(before.st_mode)) {
        result.status = kFileNotRegular;
        return;
    }
    // Stops a file that has grown since the scan from being read past its room.
    const auto size = static_cast<std::uint64_t>(before.st_size);
    if (size > room.size()) {
        result.status = kFileChanged;
        return;
    }
    const std::int64_t got = read_fully(file.get(), room.first(static_cast<std::size_t>(size)));
    struct stat after;
    if (got < 0 || ::fstat(file.get(), &after) != 0) {
        result.status = got < 0 ? static_cast<Status>(got) : -errno;
        result.mode = 0;
        return;
    }
    if (got != before.st_size || !same_stamp(before, after)) {
        result.status = kFileChanged;
        return;
    }
    result.status = kFileOk;
    result.length = static_cast<std::size_t>(size);
}

}  // namespace

Status list_folder(const char* path, std::vector<FolderEntry>& entries) {
    const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path));
    if (folder == nullptr) {
        return -errno;
    }
    for (;;) {
        errno = 0;
        const dirent* const found = ::readdir(folder.get());
        if (found == nullptr) {
            break;
        }
        if (!is_dot(found->d_name)) {
            entries.push_back(look_at(::dirfd(folder.get()), found->d_name));
        }
    }
    if (errno != 0) {
        return -errno;
    }
    std::sort(entries.begin(), entries.end(),
              [](const FolderEntry& a, const FolderEntry& b) { return a.name < b.name; });
    return 0;
}

Status read_split(int fd, std::int64_t offset, MutableBytes header, MutableBytes body,
                  bool nowait) {
    const std::size_t total = header.size() + body.size();
    std::size_t done = 0;
    while (done < total) {
        const std::size_t in_header = done < header.size() ? header.size() - done : 0;
        const std::size_t in_body = done < header.size() ? 0 : done - header.size();
        iovec parts[2] = {
            {header.data() + (header.size() - in_header), in_header},
            {body.data() + in_body, body.size() - in_body},
        };
        const ssize_t got = ::preadv2(fd, parts, 2, offset + static_cast<std::int64_t>(done),
                                      nowait ? RWF_NOWAIT : 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return nowait && would_block(errno) ? Status{kWouldBlock} : -errno;
        }
        if (got == 0) {
            return kTruncated;
        }
        done += static_cast<std::size_t>(got);
    }
    return kOk;
}

std::size_t read_files(std::span<const FileRequest> requests, std::span<FileResult> results,
                       MutableBytes out) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        FileResult& result = results[i];
        result.offset = used;
        read_file(requests[i].path, out.subspan(used, requests[i].room), result);
        used += result.length;
    }
    return used;
}

}  // namespace mlbfs
