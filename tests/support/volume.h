// A small volume of its own for a test, to be filled. Skip where mounted() is false:
// mounting takes root.
#pragma once

#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace expirer {

class Volume {
 public:
  // `options` are tmpfs's: "size=96m,nr_inodes=300".
  Volume(std::string path, const std::string& options) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~Volume() {
    if (mounted_) umount(path_.c_str());
  }
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] bool MakeReadOnly() const {
    return mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

  // Takes as many megabytes, or all there are.
  void TakeBytes(int megabytes) const {
    std::ofstream file(path_ + "/ballast", std::ios::binary);
    file << std::string(static_cast<size_t>(megabytes) << 20, 'b');
  }
  // Gives back some of what TakeBytes took.
  void GiveBack(uint64_t bytes) const {
    const auto size = std::filesystem::file_size(path_ + "/ballast");
    std::filesystem::resize_file(path_ + "/ballast", size - bytes);
  }
  // Takes all inodes but `left`.
  void TakeInodes(int left = 0) const {
    const auto name = [this](int n) { return path_ + "/files/" + std::to_string(n); };
    std::filesystem::create_directory(path_ + "/files");
    for (int n = 0; std::ofstream(name(n)); ++n) continue;
    for (int n = 0; n < left; ++n) std::filesystem::remove(name(n));
  }
  // Gives back all that was taken.
  void Release() const {
    std::filesystem::remove(path_ + "/ballast");
    std::filesystem::remove_all(path_ + "/files");
  }

 private:
  const std::string path_;
  bool mounted_ = false;
};

}  // namespace expirer
