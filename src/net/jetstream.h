// The few calls of JetStream's management API that expirer makes. Blocking:
// for a control thread, never for the core or a handler of the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/requests.h"

namespace expirer {

// A stream of the configuration (contract section 3).
struct StreamSpec {
  std::string name;
  std::vector<std::string> subjects;
  int replicas = 1;
  bool memory = false;
  int64_t max_age_ms = 168 * 3'600'000LL;
  int64_t duplicates_ms = 120'000;
};

// Gives what came on a subject of `from` the subject `to` (ADR-36).
struct SubjectTransform {
  std::string from;
  std::string to;  // "" = the same
};
// A stream that a mirror or a stream with sources takes from.
struct StreamOrigin {
  std::string name;
  std::string filter;                        // "" = everything, or see `transforms`
  std::vector<SubjectTransform> transforms;  // where there are any: nothing else
  bool external = false;                     // in another account or domain
};

struct StreamInfo {
  std::string name;
  std::vector<std::string> subjects;
  std::string created;  // as the server writes it; in ns below
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  int64_t last_time_ns = 0;    // of the newest message; 0 = there was none
  std::string retention = {};  // "limits", "interest" or "workqueue"
  bool sourced = false;        // it takes messages of other streams, too
  int64_t created_ns = 0;      // 0 = not told
  std::optional<SubjectTransform> transform = {};  // of all that it stores
  std::vector<StreamOrigin> origins = {};
  bool no_ack = false;        // it never confirms a message
  int64_t max_msg_size = -1;  // of a message, its headers included; -1 = no limit
  int64_t max_bytes = -1;     // of all messages; -1 = no limit
};

struct ConsumerInfo {
  std::string config;   // the JSON of its configuration
  std::string created;  // as the server writes it
  std::string description;
  std::vector<std::string> filters;  // empty: everything
  std::string ack_policy;
  std::string deliver_subject;  // "" for a pull consumer
  int64_t max_deliver = -1;
  int64_t ack_wait_ns = 0;
  uint64_t delivered_stream_seq = 0;
  uint64_t ack_floor_stream_seq = 0;
  uint64_t ack_floor_consumer_seq = 0;  // 0: nothing was ever acked
  uint64_t num_pending = 0;
  uint64_t num_ack_pending = 0;
  bool paused = false;      // by its configuration (2.11 on), until
  std::string pause_until;  // as the server writes it
};

// JetStream's err_code of a status this class returned; 0 for any other.
[[nodiscard]] int JetStreamCode(const absl::Status& status);
inline constexpr int kConsumerNotFound = 10014;
inline constexpr int kMessageNotFound = 10037;
inline constexpr int kStreamNotFound = 10059;
inline constexpr int kAckPendingExceeded = 10121;
// The API level of nats-server 2.12 (ADR-44).
inline constexpr int kLevelOf212 = 2;

// Thread-safe.
class JetStream {
 public:
  JetStream(Requests* requests, const std::string& domain, int64_t timeout_ms = 2'000);

  // The server's API level: 1 from 2.11 on, 2 from 2.12 on, 0 before.
  [[nodiscard]] absl::StatusOr<int> Level();
  // Streams one of whose subjects overlaps `filter`; all (of many the first)
  // where it is "".
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> StreamNames(
      const std::string& filter);
  [[nodiscard]] absl::StatusOr<StreamInfo> Stream(const std::string& stream);
  // The first sequence from `from` on whose subject matches `filter`; 0 = none.
  [[nodiscard]] absl::StatusOr<uint64_t> NextSequence(const std::string& stream,
                                                      const std::string& filter,
                                                      uint64_t from);
  [[nodiscard]] absl::Status CreateStream(const StreamSpec& config);
  [[nodiscard]] absl::Status DeleteStream(const std::string& stream);
  [[nodiscard]] absl::StatusOr<ConsumerInfo> Consumer(const std::string& stream,
                                                      const std::string& consumer);
  // Likewise of many, asked at once.
  struct ConsumerName {
    std::string stream;
    std::string consumer;
  };
  [[nodiscard]] std::vector<absl::StatusOr<ConsumerInfo>> Consumers(
      const std::vector<ConsumerName>& names);
  [[nodiscard]] std::vector<absl::StatusOr<StreamInfo>> Streams(
      const std::vector<std::string>& names);
  // Creates the durable `consumer`, or updates it where it exists; `config` is
  // the JSON of its configuration. Where it asks for more max_ack_pending than the
  // account or the server allows it gets as many as they do.
  [[nodiscard]] absl::StatusOr<ConsumerInfo> PutConsumer(const std::string& stream,
                                                         const std::string& consumer,
                                                         const std::string& config);
  // Creates a consumer, named as in `config`, that is there for a while only.
  [[nodiscard]] absl::StatusOr<ConsumerInfo> AddConsumer(const std::string& stream,
                                                         const std::string& consumer,
                                                         const std::string& config);
  [[nodiscard]] absl::Status DeleteConsumer(const std::string& stream,
                                            const std::string& consumer);

  // "$JS.API." or "$JS.<domain>.API.".
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  // The replies' readers, for those who ask on their own.
  [[nodiscard]] static absl::StatusOr<std::vector<std::string>> ReadStreamNames(
      std::string_view reply);
  [[nodiscard]] static absl::StatusOr<StreamInfo> ReadStream(std::string_view reply);
  [[nodiscard]] static absl::StatusOr<ConsumerInfo> ReadConsumer(std::string_view reply);

 private:
  [[nodiscard]] absl::StatusOr<ConsumerInfo> PutOnce(const std::string& stream,
                                                     const std::string& consumer,
                                                     const std::string& config);
  [[nodiscard]] absl::StatusOr<std::string> Call(const std::string& verb,
                                                 const std::string& body);
  Requests* const requests_;
  const std::string prefix_;
  const int64_t timeout_ms_;
};

}  // namespace expirer
