// A core that acks what it gets, and helpers for tests against a real server.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "job/rules.h"
#include "net/ingress.h"
#include "net/nats_egress.h"
#include "support/nats_server.h"

namespace expirer::test {

// `value` as a template; there is nothing in it but text.
inline Template Literal(std::string_view value) {
  auto parsed = Template::Parse(value, Template::Place::kSubject);
  CHECK(parsed.ok());
  return *std::move(parsed);
}

inline Rule MakeRule(const std::string& name, const std::string& schedule,
                     const std::vector<std::string>& cancels = {}) {
  Rule rule;
  rule.name = name;
  const Source key{Source::Kind::kPointer, "/id", 0};
  const Source due{Source::Kind::kPointer, "/at", 0};
  Entry entry;
  entry.subject = schedule;
  entry.key = {key};
  entry.due = due;
  rule.schedule = {entry};
  for (const std::string& subject : cancels) {
    Entry cancel;
    cancel.subject = subject;
    cancel.key = {key};
    rule.cancel.push_back(cancel);
  }
  rule.publish[0].target = Literal("target." + name);
  return rule;
}

inline std::string Event(size_t id) {
  return "{\"id\":\"" + std::to_string(id) + "\",\"at\":\"2030-01-01T00:00:00Z\"}";
}

// Drains the inbox like the scheduler would: acks every message after having
// "stored" it.
class FakeCore {
 public:
  explicit FakeCore(size_t places = 16'384) : inbox(places, [] {}) {}
  ~FakeCore() { Stop(); }

  void Start(Ingress* ingress) {
    ingress_ = ingress;
    thread_ = std::thread([this] { Run(); });
  }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  size_t Distinct() {
    std::lock_guard lock(mutex_);
    return keys_.size();
  }
  size_t Deliveries() {
    std::lock_guard lock(mutex_);
    return deliveries_;
  }
  // Messages up to `stream_seq` that came more than once.
  size_t RepeatedUpTo(uint64_t stream_seq) {
    std::lock_guard lock(mutex_);
    size_t repeated = 0;
    for (const auto& [seq, times] : times_)
      if (seq <= stream_seq && times > 1) ++repeated;
    return repeated;
  }
  size_t Of(RuleIndex rule) {
    std::lock_guard lock(mutex_);
    return by_rule_[rule];
  }
  size_t Cancels() {
    std::lock_guard lock(mutex_);
    return cancels_;
  }
  // When the streams were created that anything came from.
  std::set<int64_t> Lives() {
    std::lock_guard lock(mutex_);
    return lives_;
  }
  bool CaughtUp(RuleIndex rule) {
    std::lock_guard lock(mutex_);
    return caught_up_[rule];
  }
  std::vector<bool> CaughtUpHistory(RuleIndex rule) {
    std::lock_guard lock(mutex_);
    return history_[rule];
  }
  // All that was said of it.
  std::vector<RuleRead> Reads(RuleIndex rule) {
    std::lock_guard lock(mutex_);
    return reads_[rule];
  }
  [[nodiscard]] bool rebuild_asked() const { return rebuild_asked_; }
  std::map<std::string, std::string> Floors() {
    std::lock_guard lock(mutex_);
    return floors_;
  }
  std::atomic<bool> acking = true;
  std::atomic<bool> draining = true;
  std::atomic<size_t> a_turn = 2'000;  // so many messages; with fewer it waits in each
  Inbox inbox;

 private:
  void Run() {
    std::vector<Completion> completions;
    std::vector<Request> requests;
    while (!stop_) {
      completions.clear();
      requests.clear();
      if (draining) inbox.Drain(a_turn, &completions, &requests);
      if (a_turn < 2'000 || (completions.empty() && requests.empty())) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      for (const Completion& one : completions) Note(one);
      for (const Request& one : requests) Note(std::get<MessageRequest>(one));
      ingress_->Flush();
    }
  }
  void Note(const Completion& completion) {
    std::lock_guard lock(mutex_);
    if (const auto* read = std::get_if<RuleRead>(&completion)) {
      const bool caught_up = read->state == RuleRead::State::kCaughtUp;
      caught_up_[read->rule] = caught_up;
      history_[read->rule].push_back(caught_up);
      reads_[read->rule].push_back(*read);
    } else if (const auto* floor = std::get_if<ConsumerFloor>(&completion)) {
      floors_[floor->key] = floor->value;
    } else if (std::holds_alternative<RebuildAsked>(completion)) {
      rebuild_asked_ = true;
    }
  }
  void Note(const MessageRequest& message) {
    {
      std::lock_guard lock(mutex_);
      ++deliveries_;
      ++times_[message.stream_seq];
      lives_.insert(message.created_ns);
      if (const auto* schedule = std::get_if<ScheduleIntent>(&message.intent)) {
        if (keys_.insert(std::to_string(message.rule) + "/" + schedule->job.key).second) {
          ++by_rule_[message.rule];
        }
      } else if (std::holds_alternative<CancelIntent>(message.intent)) {
        ++cancels_;
      }
    }
    if (acking) ingress_->Ack(message.reply);
  }

  Ingress* ingress_ = nullptr;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> rebuild_asked_ = false;
  std::mutex mutex_;
  std::set<std::string> keys_;
  std::map<RuleIndex, size_t> by_rule_;
  std::map<RuleIndex, bool> caught_up_;
  std::map<RuleIndex, std::vector<bool>> history_;
  std::map<RuleIndex, std::vector<RuleRead>> reads_;
  std::map<std::string, std::string> floors_;
  std::map<uint64_t, size_t> times_;  // delivered, by stream sequence
  std::set<int64_t> lives_;
  size_t deliveries_ = 0;
  size_t cancels_ = 0;
  std::thread thread_;
};

}  // namespace expirer::test
