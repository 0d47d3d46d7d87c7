#include "net/stan_progress.h"

#include <algorithm>

namespace expirer {

void StanProgress::Begin(size_t max_inflight) {
  max_inflight_ = max_inflight;
  delivered_ = 0;
  read_to_ = 0;
  first_look_ = true;
  unacked_.clear();
}

void StanProgress::LookEnded(uint64_t last_seq) {
  end_ = last_seq;
  // Never so many un-acked at a time that the server waited with others. Later
  // a message may be on its way while the look already told of it.
  if (first_look_ && delivered_ < max_inflight_) read_to_ = std::max(read_to_, last_seq);
  first_look_ = false;
}

void StanProgress::Delivered(uint64_t seq) {
  ++delivered_;
  read_to_ = std::max(read_to_, seq);
  unacked_.insert(seq);
}

void StanProgress::Acked(uint64_t seq) { unacked_.erase(seq); }

bool StanProgress::caught_up() const {
  return end_.has_value() && read_to_ >= *end_ &&
         (unacked_.empty() || *unacked_.begin() > *end_);
}

}  // namespace expirer
