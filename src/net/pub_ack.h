// Decides what a broker's reply to a publish means for the attempt.
#pragma once

#include <memory>
#include <string_view>

#include "json/reader.h"
#include "net/delivery.h"
#include "sched/events.h"

namespace expirer {

// Not thread-safe: one per thread.
class PubAckReader {
 public:
  PubAckReader();
  // A confirmation is JSON with a `stream`, a `seq` >= 1 and no `error`. 503 without a
  // payload: nobody listens. Error 10158, "in process": try again. Any other `error`
  // object: refused, with the broker's words, or kNever if they concern this message's
  // size. Anything else counts as no answer: try again.
  [[nodiscard]] PubAnswer Read(uint64_t attempt, const Delivery::Status& status,
                               std::string_view payload);

 private:
  JsonPointers pointers_;
  size_t stream_;
  size_t seq_;
  size_t duplicate_;
  size_t error_;
  size_t code_;
  size_t err_code_;
  size_t description_;
  JsonReader reader_;
};

}  // namespace expirer
