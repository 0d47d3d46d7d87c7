// The few calls of JetStream's management API that expirer needs. They block, so only
// control threads may call them, never the core or a handler of the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/requests.h"

namespace expirer {

// A stream of the config (`streams[]`).
struct StreamSpec {
  std::string name;
  std::vector<std::string> subjects;
  int replicas = 1;
  bool memory = false;
  int64_t max_age_ms = 168 * 3'600'000LL;
  int64_t duplicates_ms = 120'000;
};

// Changes a subject that `from` matches to `to` (ADR-36).
struct SubjectTransform {
  std::string from;
  std::string to;  // "" = the same
};
// A stream from which a mirror or a stream with sources copies.
struct StreamOrigin {
  std::string name;
  std::string filter;  // "" = everything, unless there are `transforms`
  std::vector<SubjectTransform> transforms;  // if not empty: only what these match
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
  bool sourced = false;        // it also copies messages of other streams
  int64_t created_ns = 0;      // 0 = unknown
  std::optional<SubjectTransform> transform = {};  // of every message that it stores
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
  bool paused = false;      // by its config (2.11 on), until pause_until
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
  absl::StatusOr<int> Level();
  // The streams with a subject that overlaps `filter`. If `filter` is "": all streams; if
  // there are very many, only the first ones.
  absl::StatusOr<std::vector<std::string>> StreamNames(const std::string& filter);
  absl::StatusOr<StreamInfo> Stream(const std::string& stream);
  // The first sequence from `from` on whose subject matches `filter`; 0 = none.
  absl::StatusOr<uint64_t> NextSequence(const std::string& stream,
                                        const std::string& filter, uint64_t from);
  absl::Status CreateStream(const StreamSpec& config);
  absl::StatusOr<ConsumerInfo> Consumer(const std::string& stream,
                                        const std::string& consumer);
  // The same for many consumers, asked at once.
  struct ConsumerName {
    std::string stream;
    std::string consumer;
  };
  [[nodiscard]] std::vector<absl::StatusOr<ConsumerInfo>> Consumers(
      const std::vector<ConsumerName>& names);
  [[nodiscard]] std::vector<absl::StatusOr<StreamInfo>> Streams(
      const std::vector<std::string>& names);
  // Creates the durable `consumer`, or updates it if it exists. `config` is the JSON of
  // its config. If the account or the server allows less max_ack_pending, it gets their
  // limit.
  absl::StatusOr<ConsumerInfo> PutConsumer(const std::string& stream,
                                           const std::string& consumer,
                                           const std::string& config);
  // Creates an ephemeral consumer, named as in `config`.
  absl::StatusOr<ConsumerInfo> AddConsumer(const std::string& stream,
                                           const std::string& consumer,
                                           const std::string& config);
  // Also OK if there is no such consumer.
  absl::Status DeleteConsumer(const std::string& stream, const std::string& consumer);

  // "$JS.API." or "$JS.<domain>.API.".
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  // Parse replies, for callers that send requests themselves.
  static absl::StatusOr<std::vector<std::string>> ReadStreamNames(std::string_view reply);
  static absl::StatusOr<StreamInfo> ReadStream(std::string_view reply);
  static absl::StatusOr<ConsumerInfo> ReadConsumer(std::string_view reply);

 private:
  absl::StatusOr<ConsumerInfo> PutOnce(const std::string& stream,
                                       const std::string& consumer,
                                       const std::string& config);
  absl::StatusOr<std::string> Call(const std::string& verb, const std::string& body);
  Requests* const requests_;
  const std::string prefix_;
  const int64_t timeout_ms_;
};

}  // namespace expirer
