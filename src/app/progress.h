// A progress bar on stderr for long work.
#pragma once

#include <cstdint>

namespace expirer {

// It is shown only on a terminal, and only if the work takes more than a moment. The
// destructor removes it.
class Progress {
 public:
  // The amount of work, in any unit; 0 = unknown: nothing is shown.
  explicit Progress(uint64_t whole);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of the amount is done. Cheap, so call it often.
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
