// Runs a fuzz target over its committed corpus, in any build and without
// libFuzzer: every file of DIR, and every prefix of the small ones.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

// Longer files are run whole only: prefixes cost a run per byte.
constexpr size_t kPrefixBytesMax = 4096;

// In a buffer of exactly `size` bytes, so that AddressSanitizer sees a read
// past the end.
void Run(const std::string& bytes, size_t size) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  for (size_t i = 0; i < size; ++i) copy[i] = static_cast<uint8_t>(bytes[i]);
  LLVMFuzzerTestOneInput(copy.get(), size);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIR\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(argv[1])) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1]))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (files.empty()) {
    std::fprintf(stderr, "no corpus: %s holds no file\n", argv[1]);
    return 1;
  }
  size_t runs = 0;
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    // Printed before the run, so that a crash is preceded by its input.
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    const size_t first = bytes.size() > kPrefixBytesMax ? bytes.size() : 0;
    for (size_t size = first; size <= bytes.size(); ++size, ++runs) Run(bytes, size);
  }
  std::printf("%zu files, %zu inputs\n", files.size(), runs);
  return 0;
}
