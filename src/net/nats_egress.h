// Publishes jobs to JetStream over a connection of its own, so that neither acks nor
// pulls delay a fire.
//
// Every attempt asks for its PubAck at <inbox>.<random>.a.<attempt>: the
// random part is new in each process, so an answer meant for another process,
// or an earlier life of this one, finds nobody (I9).
//
// A message over core NATS has no PubAck, nor has one to a stream with no_ack. It is
// followed by an empty message to ourselves, <inbox>.<random>.a.c<attempt>: a server
// handles one connection's messages in order, so when that comes back it has the other
// too, and an error about it has been sent before. nats.c tells errors on a thread of its
// own; they are waited for kCoreGraceMs longer.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "net/connection.h"
#include "net/pub_ack.h"
#include "net/requests.h"
#include "net/routes.h"
#include "sched/egress.h"
#include "sched/inbox.h"

namespace expirer {

// Calls as Egress says: core thread. Answers are posted to the inbox from the
// connection's threads.
class NatsEgress final : public Egress, public TargetLimits {
 public:
  // The inbox must outlive it. `targets`: whose streams are looked for as soon as
  // it is connected.
  NatsEgress(const ConnectionOptions& options, Inbox* inbox,
             std::vector<std::string> targets = {});
  ~NatsEgress() override;

  // Begins to connect; EgressChanged{true} follows each success.
  void Start();
  // Waits at most `flush_ms` for the server to have everything, then closes.
  void Stop(int64_t flush_ms);

  [[nodiscard]] Target Resolve(Transport via, std::string_view target,
                               std::string* why) override;
  [[nodiscard]] bool Publish(uint64_t attempt, Transport via, std::string_view target,
                             const HeaderViews& headers, std::string_view body) override;
  [[nodiscard]] std::string Warning(Transport via, std::string_view target) override;
  void Flush() override;
  void Forget(uint64_t attempt, std::string_view target, bool timed_out) override;

  // Any thread. For a message that is too large it may wait for the server, up to
  // Connection::kGreetingMs every Connection::kPayloadCheckMs.
  absl::Status Fits(Transport via, std::string_view target, size_t bytes) override;
  [[nodiscard]] bool up() const { return connection_.up(); }
  // Why it is not connected; "" while it is. Any thread.
  [[nodiscard]] std::string Disconnected() const { return connection_.trouble(); }
  // As Connection's. Any thread.
  [[nodiscard]] uint64_t connects() const { return connection_.generation(); }
  // A target the server forbids us is not tried again for this long.
  static constexpr int64_t kDeniedMs = 5'000;
  // Between an echo and the confirmation it stands for.
  static constexpr int64_t kCoreGraceMs = 50;

 private:
  void OnUp();
  void OnDown(const std::string& why);
  void OnError(const std::string& text);
  void OnAnswer(const Delivery& delivery);
  void OnTick();
  // Judges what nats.c took for too large: it knows the limit of when it connected.
  void JudgeTooLarge();
  void SetReply(std::string_view before, uint64_t attempt);
  // What became of handing the attempt's message to the connection.
  [[nodiscard]] bool Began(uint64_t attempt, Connection::Sent sent, const char* error,
                           const HeaderViews& headers, std::string_view body);
  [[nodiscard]] std::optional<uint64_t> TakeTooLong(const std::string& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FitsUnasked(std::string_view target, const HeaderViews& headers,
                           std::string_view body);
  bool Refuse(uint64_t attempt, PubAnswer::Kind kind, const std::string& why);
  void Answer(const std::vector<uint64_t>& attempts, PubAnswer::Kind kind,
              const std::string& text);
  // False when the attempt was not in flight (any more).
  bool Take(uint64_t attempt);

  Inbox* const inbox_;
  Connection connection_;
  Requests requests_;
  Routes routes_;
  const std::string reply_prefix_;
  PubAckReader pub_ack_;  // the answers' delivery thread only

  // Core thread only: scratch.
  std::string subject_;
  std::string reply_;

  Mutex mutex_;
  // Attempt -> target, of what was sent and not answered.
  absl::flat_hash_map<uint64_t, std::string> in_flight_ ABSL_GUARDED_BY(mutex_);
  // Attempts that nats.c took for too large, and their bytes.
  std::vector<std::pair<uint64_t, size_t>> too_large_ ABSL_GUARDED_BY(mutex_);
  // Attempts over core NATS whose echo came, and when (monotonic ms).
  std::deque<std::pair<uint64_t, int64_t>> echoed_ ABSL_GUARDED_BY(mutex_);
};

// The subject of a "Permissions Violation for Publish to ..." error; "" for
// any other text.
[[nodiscard]] std::string DeniedSubject(std::string_view error);

}  // namespace expirer
