// Ensures that a rule's durable consumer exists and is right: accepts it, updates it, or
// creates it where the last one ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job/rules.h"
#include "net/jetstream.h"

namespace expirer {

// How far a consumer had acked in one life of its stream, as ConsumerFloor stores it.
// Bytes: the stream's creation time, '\n', decimal ack floor.
struct StoredFloor {
  std::string created;
  uint64_t floor = 0;
};
[[nodiscard]] std::string EncodeFloor(const StoredFloor& stored);
[[nodiscard]] std::optional<StoredFloor> DecodeFloor(std::string_view value);

struct ConsumerWish {
  std::string durable;
  std::string was;                   // an old durable that it replaces; "" = none
  std::vector<std::string> filters;  // the subjects that the rule reads of this stream
  std::string store_id;              // "" = no store claims it
  bool adopt = false;                // take over a foreign or unfit durable
  int64_t max_ack_pending = 20'000;
  std::optional<StoredFloor> floor;  // the ack floor of a lost consumer
  Deliver deliver;                   // where a new one begins if there is no floor
};

inline constexpr int64_t kAckWaitNs = 30'000'000'000;
// While messages that were delivered to a dead process are requested again.
inline constexpr int64_t kAskBackNs = 1'000'000'000;

// Whether this store may use an existing durable.
struct Standing {
  enum class Kind {
    kFit,      // this store's, or nobody's yet
    kForeign,  // another store's, or its description is not ours
    kUnfit,    // cannot serve as it is
  };
  Kind kind = Kind::kFit;
  std::string why;  // the reason in one sentence
};
[[nodiscard]] Standing Inspect(const StreamInfo& stream, const ConsumerWish& wish,
                               const ConsumerInfo& info);
// Whether an error of EnsureConsumer means that the durable belongs to another store.
[[nodiscard]] bool IsForeign(const absl::Status& status);

// Returns the consumer as it is now. If it is foreign or unfit: kFailedPrecondition with
// the reason, unless `adopt` is set. With `adopt` a foreign one is claimed, and an unfit
// one is replaced by one that begins at its ack floor.
absl::StatusOr<ConsumerInfo> EnsureConsumer(JetStream* js, const StreamInfo& stream,
                                            const ConsumerWish& wish);
// Replaces `old`, whose ack floor is above the stream's last sequence, because the stream
// was rewound. New messages may have sequences that `old` has passed, so the new consumer
// reads all messages of the rule from the stream's beginning.
absl::StatusOr<ConsumerInfo> ReadAnew(JetStream* js, const StreamInfo& stream,
                                      ConsumerWish wish, const ConsumerInfo& old);
// Changes only ack_wait. Does nothing if it has this value already.
absl::Status SetAckWait(JetStream* js, const std::string& stream,
                        const std::string& durable, const ConsumerInfo& now,
                        int64_t ack_wait_ns);

// `filters`, sorted, without those that another one covers.
[[nodiscard]] std::vector<std::string> NarrowFilters(std::vector<std::string> filters);
// The members of a new consumer's config that say where it begins. With a floor: after
// it. `deliver` is only used for a rule's first consumer.
[[nodiscard]] std::string DeliverPolicy(const std::optional<uint64_t>& after,
                                        const Deliver& deliver);
// The last stream sequence that a new consumer need not read; empty = `deliver`
// decides.
[[nodiscard]] std::optional<uint64_t> StartAfter(const std::optional<StoredFloor>& stored,
                                                 const StreamInfo& stream);

}  // namespace expirer
