// What was asked of expirer and what it may answer with: written down by the
// producer, judged at the end from what the target stream holds. Knows nothing
// of expirer's code.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "support/nats_server.h"

namespace expirer::test {

inline constexpr char kRule[] = "order-expiration";
// A cancel counts as in time when the stream had it this long before the due
// time: longer than a loaded machine needs to read it.
inline constexpr int64_t kInTimeMs = 500;

struct Order {
  int64_t due_ms = 0;
  bool cancelled = false;        // a cancel or payment was published, or will be
  int64_t cancel_stored_ms = 0;  // when the stream had it; 0 = not yet
  int copies = 1;                // how often it was published
};

// Wall clock of this host, which is also the server's.
[[nodiscard]] int64_t NowMs();

// Thread-safe.
class Ledger {
 public:
  // Before its first event is published.
  void Begin(const std::string& id, int64_t due_ms);
  // Before the cancel is published: from here on it may win.
  void WillCancel(const std::string& id);
  // Once the stream has it.
  void Cancelled(const std::string& id);
  void Repeated(const std::string& id);

  [[nodiscard]] std::map<std::string, Order> orders() const;
  [[nodiscard]] int64_t last_due_ms() const;
  // Orders that must fire and are not among `fired`.
  [[nodiscard]] size_t Missing(const std::vector<StoredMessage>& fired) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Order> orders_;
  int64_t last_due_ms_ = 0;
};

// What went wrong, by promise; all zero is the only good verdict.
struct Verdict {
  size_t orders = 0;
  size_t fired = 0;      // orders, not messages
  size_t in_time = 0;    // orders whose cancel was in time
  size_t lost = 0;       // P1, P2: no cancel, and never fired
  size_t early = 0;      // P3: before its due time, by the target stream's clock
  size_t doubled = 0;    // P2: more than one copy under one Nats-Msg-Id's window
  size_t cancelled = 0;  // P3: fired although the cancel was in time
  size_t wrong = 0;      // body, id or order not as published
  std::vector<std::string> examples;  // the first few, in words

  [[nodiscard]] bool good() const {
    return lost + early + doubled + cancelled + wrong == 0;
  }
  // The count named `kind`: lost, early, doubled, cancelled or wrong.
  [[nodiscard]] size_t Count(std::string_view kind) const;
};
[[nodiscard]] Verdict Judge(const std::map<std::string, Order>& orders,
                            const std::vector<StoredMessage>& fired,
                            int64_t in_time_ms = kInTimeMs);

// The id in a fired body; "" when it is not exactly as promised.
[[nodiscard]] std::string FiredId(const std::string& payload);

}  // namespace expirer::test
