// Makes a rule's durable consumer what it has to be: found fit, mended by an
// update, or created where the last one left off.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job/rules.h"
#include "net/jetstream.h"

namespace expirer {

// How far a consumer had acked in one life of its stream: what ConsumerFloor
// carries. Bytes: the stream's creation time, '\n', decimal ack floor.
struct StoredFloor {
  std::string created;
  uint64_t floor = 0;
};
[[nodiscard]] std::string EncodeFloor(const StoredFloor& stored);
[[nodiscard]] std::optional<StoredFloor> DecodeFloor(std::string_view value);

struct ConsumerWish {
  std::string durable;
  std::string was;                   // a durable whose place it takes; "" = none
  std::vector<std::string> filters;  // what the rule reads of this stream
  std::string store_id;              // "" = no store claims it
  bool adopt = false;                // take over a foreign or unfit durable
  int64_t max_ack_pending = 20'000;
  std::optional<StoredFloor> floor;  // where a lost one had been
  Deliver deliver;                   // else where a new one begins
};

inline constexpr int64_t kAckWaitNs = 30'000'000'000;
// While what was delivered before is asked back.
inline constexpr int64_t kAskBackNs = 1'000'000'000;

// Whether a durable that exists may be used by the store that wishes for it.
struct Standing {
  enum class Kind {
    kFit,      // this store's, or nobody's yet
    kForeign,  // another store's, or described as something else
    kUnfit,    // cannot serve as it is
  };
  Kind kind = Kind::kFit;
  std::string why;  // in one sentence
};
[[nodiscard]] Standing Inspect(const StreamInfo& stream, const ConsumerWish& wish,
                               const ConsumerInfo& info);
// Whether EnsureConsumer found the durable to be another store's.
[[nodiscard]] bool IsForeign(const absl::Status& status);

// OK with the consumer as it is now. kFailedPrecondition, with the reason, for
// one that is foreign or unfit, unless `adopt`: then the one is claimed and the
// other replaced by one that goes on where it stood.
[[nodiscard]] absl::StatusOr<ConsumerInfo> EnsureConsumer(JetStream* js,
                                                          const StreamInfo& stream,
                                                          const ConsumerWish& wish);
// In the place of `old`, which has read further than its stream goes: what it was
// to read from there on may be there already, under sequences it has left behind. So
// all is read that the rule wants of the stream.
[[nodiscard]] absl::StatusOr<ConsumerInfo> ReadAnew(JetStream* js,
                                                    const StreamInfo& stream,
                                                    ConsumerWish wish,
                                                    const ConsumerInfo& old);
// Changes only ack_wait; OK when it is so already.
[[nodiscard]] absl::Status SetAckWait(JetStream* js, const std::string& stream,
                                      const std::string& durable, const ConsumerInfo& now,
                                      int64_t ack_wait_ns);

// `filters` without those that another one covers, sorted.
[[nodiscard]] std::vector<std::string> NarrowFilters(std::vector<std::string> filters);
// What a new consumer is to read, as members of its config. With a floor: what
// follows it; `deliver` is only for the very first.
[[nodiscard]] std::string DeliverPolicy(const std::optional<uint64_t>& after,
                                        const Deliver& deliver);
// The last stream sequence that a new consumer need not read; nothing = where
// `deliver` says.
[[nodiscard]] std::optional<uint64_t> StartAfter(const std::optional<StoredFloor>& stored,
                                                 const StreamInfo& stream);

}  // namespace expirer
