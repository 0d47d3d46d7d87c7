// The streams that producers write to and rules read from, as a JetStream server
// keeps them: a durable consumer a rule, which delivers in order, delivers again
// what is not acked, and loses its place when its stream is put back to an older
// state or created anew.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "sim/event.h"
#include "support/seed.h"

namespace expirer::sim {

class Stream {
 public:
  explicit Stream(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t life() const { return life_; }
  [[nodiscard]] uint64_t last() const { return last_; }

  void Append(Event* event) {
    event->seq = ++last_;
    event->stream = &name_;
    messages_[last_] = event;
  }
  // As if restored from a backup that was made when `seq` was the last.
  void PutBack(uint64_t seq) {
    ++life_;
    for (auto at = messages_.upper_bound(seq); at != messages_.end();) {
      at->second->in_stream = false;
      at = messages_.erase(at);
    }
    last_ = seq;
  }

  // The first message of the rule after `seq`; null = none.
  [[nodiscard]] Event* After(uint64_t seq, RuleIndex rule) const {
    for (auto at = messages_.upper_bound(seq); at != messages_.end(); ++at)
      if (at->second->rule == rule) return at->second;
    return nullptr;
  }
  [[nodiscard]] Event* At(uint64_t seq) const { return messages_.at(seq); }

 private:
  const std::string name_;
  uint64_t life_ = 1;
  uint64_t last_ = 0;
  std::map<uint64_t, Event*> messages_;
};

class Consumer {
 public:
  Consumer(RuleIndex rule, const Stream* stream) : rule_(rule), stream_(stream) {}

  // The next message that was not delivered yet; null = none.
  [[nodiscard]] Event* Next() {
    Event* const event = stream_->After(delivered_, rule_);
    if (event == nullptr) return nullptr;
    delivered_ = event->seq;
    unacked_.insert(event->seq);
    return event;
  }
  // One that was delivered and not acked; null = none.
  [[nodiscard]] Event* Again(Draws* draws) const {
    if (unacked_.empty()) return nullptr;
    const auto skip = static_cast<ptrdiff_t>(draws->Below(unacked_.size()));
    return stream_->At(*std::next(unacked_.begin(), skip));
  }
  void Ack(uint64_t life, uint64_t seq) {
    if (life == stream_->life()) unacked_.erase(seq);
  }
  [[nodiscard]] size_t unacked() const { return unacked_.size(); }
  // Everything of the rule up to `mark` was delivered and acked.
  [[nodiscard]] bool ReadUpTo(uint64_t mark) const {
    if (!unacked_.empty() && *unacked_.begin() <= mark) return false;
    const Event* const next = stream_->After(delivered_, rule_);
    return next == nullptr || next->seq > mark;
  }
  // It was deleted and made anew.
  void Replace() {
    delivered_ = 0;
    unacked_.clear();
  }
  // Its stream was put back: so is the consumer, to a place no later.
  void PutBack(uint64_t seq) {
    delivered_ = std::min(delivered_, seq);
    unacked_.erase(unacked_.upper_bound(delivered_), unacked_.end());
  }

 private:
  const RuleIndex rule_;
  const Stream* const stream_;
  uint64_t delivered_ = 0;
  std::set<uint64_t> unacked_;
};

}  // namespace expirer::sim
