// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of the folders given as arguments, and over every prefix and
// some mutations of each, so that a short corpus goes a long way.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.h"

namespace {

using Input = std::vector<std::uint8_t>;

void run(const Input& input) {
    // A buffer of the exact size, so that a read past its end is seen.
    const std::vector<std::uint8_t> exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void run_variants(const Input& input) {
    run(input);
    const std::size_t step = std::max<std::size_t>(1, input.size() / 64);
    for (std::size_t length = 0; length < input.size(); length += step) {
        run(Input(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(length)));
    }
    const std::size_t changes = std::min<std::size_t>(input.size(), 128);
    for (std::size_t position = 0; position < changes; ++position) {
        for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
            Input changed = input;
            changed[position] = value;
            run(changed);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            run_variants(Input(std::istreambuf_iterator<char>(file), {}));
            ++count;
        }
    }
    std::printf("%zu inputs\n", count);
    return count == 0 ? 1 : 0;
}
