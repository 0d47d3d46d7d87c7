// Makes traces for `expirer replay`, the same for the same arguments on every
// machine:
//   trace_tool EVENTS [SEED]   as many events, with every `do` and every outcome
//                              by the rules of bench/replay.yaml
//   trace_tool --evening       examples/traces/ticketing-evening.jsonl
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/rfc3339.h"

namespace expirer {
namespace {

constexpr int64_t kStartNs = 1'801'504'800'000'000'000;  // 2027-02-01T18:00:00Z
constexpr int64_t kNsInMs = 1'000'000;

class Trace {
 public:
  explicit Trace(uint64_t seed) : random_(seed) {}

  // 0 … below - 1; what the standard says of its distributions differs by library.
  uint64_t Draw(uint64_t below) { return random_() % below; }
  bool OneIn(uint64_t n) { return Draw(n) == 0; }
  std::string Id() { return fmt::format("{:016x}", random_()); }

  void Pass(int64_t ns) { now_ns_ += ns; }
  [[nodiscard]] std::string At() const { return FormatRfc3339Ns(now_ns_); }
  [[nodiscard]] int64_t NowMs() const { return now_ns_ / kNsInMs; }
  [[nodiscard]] std::string In(int64_t ms) const { return FormatRfc3339Ms(NowMs() + ms); }

  void Event(const std::string& subject, const std::string& json) {
    Line(R"("subject":")" + subject + R"(","json":)" + json);
  }
  void Do(const std::string& what) { Line(R"("do":")" + what + "\""); }
  void Line(const std::string& members) {
    fmt::print("{{\"at\":\"{}\",{}}}\n", At(), members);
  }

 private:
  std::mt19937_64 random_;
  int64_t now_ns_ = kStartNs;
};

// ---- Everything.

class Everything {
 public:
  Everything(uint64_t events, uint64_t seed) : events_(events), trace_(seed) {}

  void Print() {
    // About 50 crashes and redeliveries, and 20 outages, however long it is.
    const uint64_t often = std::max<uint64_t>(events_ / 50, 1);
    for (uint64_t i = 1; i <= events_; ++i) {
      // A tenth come in the same millisecond as the one before.
      trace_.Pass(trace_.OneIn(10) ? 1'000
                                   : static_cast<int64_t>(trace_.Draw(10'000'000)));
      Event();
      if (i % often == 0) trace_.Do("crash");
      if (i % often == often / 2) trace_.Do("redeliver");
      if (i % (often * 5 / 2 + 1) == often / 3) trace_.Do("nats-down");
      if (i % (often * 5 / 2 + 1) == often / 3 + often / 8) trace_.Do("nats-up");
    }
    trace_.Do("nats-up");
  }

 private:
  void Event() {
    const uint64_t kind = trace_.Draw(100);
    if (kind < 50) return Order();
    if (kind < 68) return Paid();
    if (kind < 76) return Cancelled();
    if (kind < 88) return Cart();
    if (kind < 92) return Bid();
    if (kind < 95) return News();
    if (kind < 97) return Alarm();
    Odd();
  }

  void Order() {
    const std::string id = trace_.Id();
    trace_.Event(
        "order:created",
        fmt::format(R"({{"id":"{}","version":0,"status":"created","userId":"{}",)"
                    R"("expiresAt":"{}","ticket":{{"id":"{}","price":{}}}}})",
                    id, trace_.Id(), trace_.In(Ahead()), trace_.Id(), trace_.Draw(200)));
    recent_[next_++ % recent_.size()] = id;
  }
  // Up to ten minutes, to the second for one in five, so that some are equal.
  int64_t Ahead() {
    const auto ahead = static_cast<int64_t>(trace_.Draw(600'000));
    if (!trace_.OneIn(5)) return ahead;
    return ahead - (trace_.NowMs() + ahead) % 1'000;
  }
  std::string Known() {
    const uint64_t count = std::min<uint64_t>(next_, recent_.size());
    return count == 0 ? trace_.Id() : recent_[trace_.Draw(count)];
  }
  void Paid() {
    const std::string order = Known();
    trace_.Event("payment:created",
                 fmt::format(R"({{"id":"{}","orderId":"{}"}})", trace_.Id(), order));
  }
  void Cancelled() {
    trace_.Event("order:cancelled", fmt::format(R"({{"id":"{}","version":1}})", Known()));
  }
  void Cart() {
    trace_.Event("cart:changed", fmt::format(R"({{"user":{},"empty":{}}})",
                                             trace_.Draw(5'000), trace_.OneIn(4)));
  }
  // Bytes that are no text.
  void Bid() {
    trace_.Line(
        fmt::format(R"("subject":"bid.{}","headers":{{"ttl":"{}s","tag":["a","b"]}},)"
                    R"("payload_base64":"/v8A{:04}")",
                    trace_.Draw(20'000), trace_.Draw(300) + 1, trace_.Draw(10'000)));
  }
  void News() {
    const auto ahead = static_cast<int64_t>(trace_.Draw(600'000)) - 150'000;
    trace_.Event("news:planned", fmt::format(R"({{"id":"{}","at":"{}"}})", trace_.Id(),
                                             trace_.In(ahead)));
  }
  void Alarm() {
    const auto ahead = static_cast<int64_t>(trace_.Draw(100)) - 20;
    trace_.Event("alarm:set", fmt::format(R"({{"id":"{}","at":{}}})", trace_.Id(),
                                          trace_.NowMs() / 1'000 + ahead));
  }
  // Rejected, or of no concern.
  void Odd() {
    switch (trace_.Draw(4)) {
      case 0: trace_.Event("order:created", R"({"expiresAt":"tomorrow"})"); break;
      case 1: trace_.Line(R"("subject":"order:created","payload":"{\"id\":")"); break;
      case 2: trace_.Event("cart:changed", R"({"user":1,"empty":"?"})"); break;
      default: trace_.Event("order:updated", R"({"id":"x"})"); break;
    }
  }

  const uint64_t events_;
  Trace trace_;
  std::array<std::string, 4'096> recent_;
  uint64_t next_ = 0;
};

// ---- An evening at the ticket office, by the built-in rule.

struct Planned {
  int64_t at_ms = 0;  // from the start
  std::string members;
};

std::string EventOf(const std::string& subject, const std::string& json) {
  return R"("subject":")" + subject + R"(","json":)" + json;
}

void PlanOrder(Trace* draw, int number, int64_t at_ms, std::vector<Planned>* evening) {
  constexpr int64_t kHoldMs = 15 * 60'000;
  const std::string id = fmt::format("o{:03}", number);
  evening->push_back(
      {at_ms,
       EventOf("order:created",
               fmt::format(R"({{"id":"{}","status":"created","expiresAt":"{}",)"
                           R"("ticket":{{"id":"t{:03}","price":{}}}}})",
                           id, FormatRfc3339Ms(kStartNs / kNsInMs + at_ms + kHoldMs),
                           number, 20 + draw->Draw(60)))});
  const uint64_t fate = draw->Draw(100);
  const auto later_ms = static_cast<int64_t>(20'000 + draw->Draw(kHoldMs - 60'000));
  if (fate < 62)
    evening->push_back(
        {at_ms + later_ms,
         EventOf("payment:created",
                 fmt::format(R"({{"id":"p{:03}","orderId":"{}"}})", number, id))});
  else if (fate < 72)
    evening->push_back(
        {at_ms + later_ms,
         EventOf("order:cancelled", fmt::format(R"({{"id":"{}","version":1}})", id))});
}

void PrintEvening() {
  constexpr int64_t kMinuteMs = 60'000;
  Trace trace(20'270'201);
  std::vector<Planned> evening;
  // Doors open for sales at eight; half of all orders come within ten minutes.
  std::vector<int64_t> orders;
  for (int i = 0; i < 180; ++i) {
    const bool rush = trace.OneIn(2);
    const uint64_t span_ms = static_cast<uint64_t>(rush ? 10 : 200) * kMinuteMs;
    const auto after_ms = static_cast<int64_t>(trace.Draw(span_ms));
    orders.push_back((rush ? 120 : 60) * kMinuteMs + after_ms);
  }
  std::sort(orders.begin(), orders.end());
  int number = 0;
  for (const int64_t at_ms : orders) PlanOrder(&trace, ++number, at_ms, &evening);
  const auto add = [&evening](int64_t at_ms, const std::string& members) {
    evening.push_back({at_ms, members});
  };
  // In the rush, with an order in its millisecond.
  add(orders[80], R"("do":"crash")");
  add(126 * kMinuteMs, R"("do":"redeliver")");
  add(130 * kMinuteMs, R"("do":"nats-down")");
  add(140 * kMinuteMs, R"("do":"nats-up")");
  add(150 * kMinuteMs,
      EventOf("order:created", R"({"id":"o181","expiresAt":"in a quarter"})"));
  add(151 * kMinuteMs, EventOf("order:created", R"({"id":"o182"})"));
  std::stable_sort(evening.begin(), evening.end(),
                   [](const Planned& a, const Planned& b) { return a.at_ms < b.at_ms; });
  int64_t now_ms = 0;
  for (const Planned& one : evening) {
    trace.Pass((one.at_ms - now_ms) * kNsInMs);
    now_ms = one.at_ms;
    trace.Line(one.members);
  }
}

}  // namespace
}  // namespace expirer

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--evening") == 0) {
    expirer::PrintEvening();
    return 0;
  }
  const uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  if (events == 0 || argc > 3) {
    std::fprintf(stderr, "trace_tool EVENTS [SEED] | trace_tool --evening\n");
    return 2;
  }
  expirer::Everything(events, seed).Print();
  return 0;
}
