// A bar on stderr for what takes long, where somebody looks.
#pragma once

#include <cstdint>

namespace expirer {

// Shown only on a terminal, and once it has taken more than a moment; gone when
// destroyed.
class Progress {
 public:
  // What there is to do, in any unit; 0 = nobody knows, and nothing is shown.
  explicit Progress(uint64_t whole);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // As often as there is something to tell; cheap. `done` of the whole.
  void At(uint64_t done, uint64_t lines);

 private:
  void Draw(uint64_t done, uint64_t lines);

  const uint64_t whole_;
  const bool shown_;
  const int64_t began_ms_;  // monotonic
  int64_t drawn_ms_;
  bool drawn_ = false;
  uint64_t calls_ = 0;
};

}  // namespace expirer
