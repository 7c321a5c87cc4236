// SPDX-License-Identifier: Apache-2.0
// The kernels that make system calls, on files in the folder given as argument.

#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "fuzz.h"

using mlbfs::FileRequest;
using mlbfs::FileResult;

namespace {

void write_file(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

void check_batch(const std::string& folder) {
    const std::string first = folder + "/first";
    const std::string grown = folder + "/grown";
    const std::string fifo = folder + "/fifo";
    const std::string last = folder + "/last";
    write_file(first, "12345");
    write_file(grown, "1234567890");
    write_file(last, "the end");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const std::vector<FileRequest> requests = {{first.c_str(), 5}, {nullptr, 3}, {grown.c_str(), 9},
                                               {fifo.c_str(), 0},  {"/missing/file", 1},
                                               {last.c_str(), 7}};
    std::vector<FileResult> results(requests.size());
    std::vector<std::uint8_t> out(25);
    REQUIRE(mlbfs::read_files(requests, results, out) == 12);
    const mlbfs::Status expected[] = {mlbfs::kFileOk,         -EINVAL, mlbfs::kFileChanged,
                                      mlbfs::kFileNotRegular, -ENOENT, mlbfs::kFileOk};
    for (std::size_t i = 0; i < requests.size(); ++i) {
        REQUIRE(results[i].status == expected[i]);
    }
    REQUIRE(std::string(out.begin(), out.begin() + 12) == "12345the end");
}

void check_listing(const std::string& folder) {
    const std::string listed = folder + "/listed";
    REQUIRE(::mkdir(listed.c_str(), 0700) == 0);
    write_file(listed + "/b", "12");
    write_file(listed + "/a\xff", "1");
    REQUIRE(::symlink("missing", (listed + "/a").c_str()) == 0);
    std::vector<mlbfs::FolderEntry> entries;
    REQUIRE(mlbfs::list_folder(listed.c_str(), entries) == 0);
    REQUIRE(entries.size() == 3);
    REQUIRE(entries[0].name == "a" && S_ISLNK(entries[0].mode));
    REQUIRE(entries[1].name == "a\xff" && entries[1].size == 1);
    REQUIRE(entries[2].name == "b" && S_ISREG(entries[2].mode) && entries[2].size == 2);
    REQUIRE(mlbfs::list_folder((listed + "/b").c_str(), entries) == -ENOTDIR);
}

void check_split(const std::string& folder) {
    const std::string path = folder + "/split";
    write_file(path, std::string(56, 'h') + std::string(1000, 'b'));
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    std::vector<std::uint8_t> header(56);
    std::vector<std::uint8_t> body(1000);
    REQUIRE(mlbfs::read_split(fd, 0, header, body, false) == mlbfs::kOk);
    REQUIRE(header.back() == 'h' && body.front() == 'b' && body.back() == 'b');
    REQUIRE(mlbfs::read_split(fd, 1, header, body, false) == mlbfs::kTruncated);
    REQUIRE(mlbfs::read_split(fd, 0, header, {}, true) == mlbfs::kOk);
    REQUIRE(mlbfs::read_split(-1, 0, header, body, false) == -EBADF);
    ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
    REQUIRE(argc == 2);
    check_listing(argv[1]);
    check_batch(argv[1]);
    check_split(argv[1]);
    return 0;
}
