// The ticketing application under load: a thread that publishes orders with
// short due times, repeats some, and cancels a third.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "support/ledger.h"
#include "support/nats_server.h"

namespace expirer::test {

class Producer {
 public:
  struct Options {
    std::string url;
    uint64_t seed = 0;
    int orders_per_s = 250;
    std::string prefix = "o";  // of its orders' ids
  };
  // Both outlive it.
  Producer(Options options, Ledger* ledger);
  ~Producer();

  // Runs `now` on the producer's thread right after the next order is stored,
  // so while expirer has been handed it and cannot have acked it for long.
  void AfterNextOrder(std::function<void()> now);
  // Orders stored so far.
  [[nodiscard]] int orders() const { return stored_; }
  // No new orders; returns once all cancels and repeats are published too.
  void Finish();

  // Of every `kLongEvery` orders one has an id so long that a target stream
  // with kSmallBytes as its largest message refuses it, and not the others.
  static constexpr int kLongEvery = 3;
  static constexpr int kSmallBytes = 500;

 private:
  using Action = std::function<void()>;
  void Run();
  void NewOrder();
  [[nodiscard]] std::string NewId();
  void PublishOrder(const std::string& id, int64_t due_ms);
  void PublishCancel(const std::string& id);
  void At(int64_t when_ms, Action action) {
    actions_.emplace(when_ms, std::move(action));
  }
  // Runs what is due; the time of the next action.
  int64_t RunActions();
  [[nodiscard]] int64_t Random(int64_t low, int64_t high);
  // Again and again, under one Nats-Msg-Id, until a stream has it.
  void Store(const std::string& subject, const std::string& payload);

  const Options options_;
  Ledger* const ledger_;
  std::atomic<bool> finishing_ = false;
  std::atomic<int> stored_ = 0;
  std::mutex mutex_;
  Action after_next_order_;  // guarded by mutex_

  // Own thread only.
  TestClient client_;
  std::mt19937_64 random_;
  std::multimap<int64_t, Action> actions_;
  int made_ = 0;
  int events_ = 0;

  std::thread thread_;
};

}  // namespace expirer::test
