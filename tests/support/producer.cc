#include "support/producer.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace expirer::test {
namespace {

// Dues lie on a grid, so that jobs come in bursts: several are in flight at
// any moment a kill may choose.
constexpr int64_t kGridMs = 50;
constexpr int64_t kDueMaxMs = 2'000;
// A cancel meant to be in time leaves this much for expirer to read it.
constexpr int64_t kCancelLeadMs = 1'000;
// An event that no stream has by then never comes to one.
constexpr int64_t kStoredWithinMs = 120'000;
constexpr int64_t kAnswerMs = 1'000;

std::string Iso(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms % 1000));
  return text;
}

}  // namespace

Producer::Producer(Options options, Ledger* ledger)
    : options_(std::move(options)),
      ledger_(ledger),
      client_(options_.url),
      random_(options_.seed),
      thread_([this] { Run(); }) {}

Producer::~Producer() { Finish(); }

void Producer::AfterNextOrder(std::function<void()> now) {
  const std::lock_guard lock(mutex_);
  after_next_order_ = std::move(now);
}

void Producer::Finish() {
  finishing_ = true;
  if (thread_.joinable()) thread_.join();
}

void Producer::Run() {
  const int64_t every_us = 1'000'000 / options_.orders_per_s;
  auto next_order = std::chrono::steady_clock::now();
  while (!finishing_ || !actions_.empty()) {
    const int64_t action_ms = RunActions();
    const auto now = std::chrono::steady_clock::now();
    if (!finishing_ && now >= next_order) {
      // No catching up after a stall: that would be another load.
      next_order = std::max(next_order + std::chrono::microseconds(every_us), now);
      NewOrder();
      continue;
    }
    const int64_t wait_us = std::min<int64_t>((action_ms - NowMs()) * 1'000, every_us);
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::max<int64_t>(wait_us, 100)));
  }
}

int64_t Producer::RunActions() {
  while (!actions_.empty() && actions_.begin()->first <= NowMs()) {
    const Action action = std::move(actions_.begin()->second);
    actions_.erase(actions_.begin());
    action();
  }
  return actions_.empty() ? INT64_MAX / 2'000 : actions_.begin()->first;
}

int64_t Producer::Random(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_);
}

std::string Producer::NewId() {
  const int number = made_++;
  std::string id = options_.prefix + std::to_string(number);
  if (number % kLongEvery == 0) id.append("-").append(kSmallBytes / 2, 'x');
  return id;
}

void Producer::NewOrder() {
  const std::string id = NewId();
  const int64_t now_ms = NowMs();
  const int64_t kind = Random(0, 99);
  const auto on_grid = [](int64_t ms) { return (ms + kGridMs - 1) / kGridMs * kGridMs; };
  int64_t due_ms = on_grid(now_ms + Random(0, kDueMaxMs));
  if (kind < 20) {  // cancelled in time
    due_ms = on_grid(now_ms + kCancelLeadMs + Random(100, 1'500));
    ledger_->Begin(id, due_ms);
    ledger_->WillCancel(id);
    At(Random(now_ms, due_ms - kCancelLeadMs), [this, id] { PublishCancel(id); });
  } else if (kind < 28) {  // about when it is due, or too late
    ledger_->Begin(id, due_ms);
    ledger_->WillCancel(id);
    At(due_ms + Random(-200, 400), [this, id] { PublishCancel(id); });
  } else if (kind < 33) {  // the cancel comes first
    due_ms = on_grid(now_ms + kCancelLeadMs + Random(0, 500));
    ledger_->Begin(id, due_ms);
    ledger_->WillCancel(id);
    PublishCancel(id);
  } else {
    ledger_->Begin(id, due_ms);
  }
  PublishOrder(id, due_ms);
  ++stored_;
  Action now;
  {
    const std::lock_guard lock(mutex_);
    now = std::exchange(after_next_order_, nullptr);
  }
  if (now) now();
  if (Random(0, 9) > 0) return;
  // Published twice: at once, or when it may have fired already.
  At(now_ms + Random(0, 3'000), [this, id, due_ms] {
    ledger_->Repeated(id);
    PublishOrder(id, due_ms);
  });
}

void Producer::PublishOrder(const std::string& id, int64_t due_ms) {
  Store("order:created", R"({"id":")" + id + R"(","version":0,"expiresAt":")" +
                             Iso(due_ms) + R"(","ticket":{"id":"t1","price":20}})");
}

void Producer::PublishCancel(const std::string& id) {
  if (Random(0, 1) == 0)
    Store("order:cancelled", R"({"id":")" + id + R"(","version":1})");
  else
    Store("payment:created", R"({"id":"p1","orderId":")" + id + "\"}");
  ledger_->Cancelled(id);
}

void Producer::Store(const std::string& subject, const std::string& payload) {
  const std::string id = options_.prefix + "-event-" + std::to_string(events_++);
  const bool stored = WaitFor(
      [&] {
        return client_.Publish(subject, payload, {{"Nats-Msg-Id", id}}, kAnswerMs) > 0;
      },
      kStoredWithinMs);
  if (stored) return;
  std::fprintf(stderr, "producer: no stream stored an event on %s\n", subject.c_str());
  std::abort();
}

}  // namespace expirer::test
