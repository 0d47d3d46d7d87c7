// The load's own traffic over NATS, sharing no code with expirer's: JetStream
// management, publishing as fast as PubAcks come back, pipelined pulls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace expirer::load {

struct OutMessage {
  std::string subject;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload;
};

// Views live for the call.
struct InMessage {
  std::string_view msg_id;  // Nats-Msg-Id, "" when there is none
  std::string_view payload;
  int64_t time_ns = 0;  // JetStream's
  uint64_t seq = 0;     // in its stream
};

struct ConsumerState {
  uint64_t delivered = 0;    // stream sequence
  uint64_t pending = 0;      // messages not delivered yet
  uint64_t ack_pending = 0;  // delivered, not acked
  uint64_t redelivered = 0;
  [[nodiscard]] bool Done() const {
    return pending == 0 && ack_pending == 0 && delivered > 0;
  }
};

// One thread.
class Link {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Link>> Connect(
      const std::string& url);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // `more`: further members of its configuration, each after a comma.
  [[nodiscard]] absl::Status CreateStream(const std::string& name,
                                          const std::string& subject,
                                          std::string_view more = "");
  void DeleteStream(const std::string& name);
  [[nodiscard]] absl::StatusOr<uint64_t> Messages(const std::string& stream);
  // A durable pull consumer of the whole stream; `acks`: explicit, else none.
  [[nodiscard]] absl::Status CreateConsumer(const std::string& stream,
                                            const std::string& name, bool acks);
  [[nodiscard]] absl::Status DeleteConsumer(const std::string& stream,
                                            const std::string& name);
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> Consumers(
      const std::string& stream);
  [[nodiscard]] absl::StatusOr<ConsumerState> Consumer(const std::string& stream,
                                                       const std::string& name);

  // Publishes messages 0..count-1 with at most `window` unconfirmed; an error
  // when one is refused or confirmed as a duplicate.
  using Make = std::function<void(uint64_t n, OutMessage* message)>;
  [[nodiscard]] absl::Status PublishAll(uint64_t count, uint64_t window,
                                        const Make& make);

  // Sends requests 0..count-1, `at_once` of them unanswered, and hands each
  // reply to `see` with the time it took; `see` runs on another thread, but for
  // at_once == 1.
  using Ask = std::function<void(uint64_t n, std::string_view reply, int64_t ns)>;
  [[nodiscard]] absl::Status AskAll(uint64_t count, uint64_t at_once, const Make& make,
                                    const Ask& see);

  // Pulls `count` messages, two requests of 1,000 outstanding, and acks each
  // when `acks`. `see` may be empty; it is called on another thread.
  using See = std::function<void(const InMessage& message)>;
  [[nodiscard]] absl::Status PullAll(const std::string& stream,
                                     const std::string& consumer, uint64_t count,
                                     bool acks, const See& see);

  // All that a stream holds, through a consumer of its own.
  [[nodiscard]] absl::Status ReadAll(const std::string& stream, const See& see);

 private:
  struct Rep;
  struct Window;
  struct Pulls;
  struct Asks;
  explicit Link(std::unique_ptr<Rep> rep);
  [[nodiscard]] absl::StatusOr<std::string> Api(const std::string& verb,
                                                const std::string& body);
  std::unique_ptr<Rep> rep_;
};

}  // namespace expirer::load
