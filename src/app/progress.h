// A bar on stderr for what takes long, where somebody looks.
#pragma once

#include <cstdint>

namespace expirer {

// Shown only on a terminal and for a file of some size; gone when destroyed.
class Progress {
 public:
  explicit Progress(uint64_t bytes);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // As often as there is something to tell; cheap.
  void At(uint64_t bytes, uint64_t lines);

 private:
  void Draw(uint64_t bytes, uint64_t lines);

  const uint64_t bytes_;
  const bool shown_;
  const int64_t began_ms_;  // monotonic
  int64_t drawn_ms_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace expirer
