// The bus in memory for tests: records what the core sends, has a stream that keeps one
// message of each Nats-Msg-Id, and simulates the faults of a network when it is told to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/instant_bus.h"

namespace expirer {

class MemoryBus final : public InstantBus {
 public:
  struct Termed {
    std::string reply;
    std::string reason;
  };
  struct Announced {
    std::string subject;
    std::string payload;
  };
  struct Replied {
    std::string to;
    int code = 0;
    std::string body;
  };
  enum class Answers {
    kAtOnce,  // each publish is stored and confirmed at its Flush
    kByHand,  // the test calls Ack, Refuse, ...
  };

  explicit MemoryBus(Inbox* inbox, Answers answers = Answers::kAtOnce)
      : InstantBus(inbox), answers_(answers) {}

  [[nodiscard]] Target Resolve(Transport via, std::string_view target,
                               std::string* why) override {
    if (via == Transport::kCore) return Target::kReady;
    const auto route = routes_.find(target);
    if (route == routes_.end()) return Target::kReady;
    if (route->second.state == Target::kRefused) *why = route->second.why;
    return route->second.state;
  }
  [[nodiscard]] bool Publish(uint64_t attempt, Transport via, std::string_view target,
                             const HeaderViews& headers, std::string_view body) override {
    if (connected_ && refuse_next_ > 0) {
      --refuse_next_;
      return false;
    }
    if (!InstantBus::Publish(attempt, via, target, headers, body)) return false;
    ++publishes_;
    if (recording_) published_.push_back(in_flight_[attempt]);
    return true;
  }
  [[nodiscard]] std::string Warning(Transport, std::string_view target) override {
    const auto found = warnings_.find(target);
    return found == warnings_.end() ? "" : found->second;
  }
  void Flush() override {
    ++flushes_;
    InstantBus::Flush();
  }
  void Forget(uint64_t attempt, std::string_view target, bool timed_out) override {
    InstantBus::Forget(attempt, target, timed_out);
    if (recording_) forgotten_.push_back(attempt);
  }
  void Ack(const std::string& reply) override {
    if (recording_) acked_.push_back(reply);
  }
  void Term(const std::string& reply, std::string_view reason) override {
    if (recording_) termed_.push_back({reply, std::string(reason)});
  }
  void Reply(const Caller& caller, int code, const std::string& body) override {
    if (recording_) replied_.push_back({caller.reply, code, body});
    InstantBus::Reply(caller, code, body);
  }
  void Announce(const std::string& subject, const std::string& payload) override {
    if (recording_) announced_.push_back({subject, payload});
  }
  void SetIntake(bool open) override { intake_ = open; }
  void LookAgain(LookHow) override { ++looks_again_; }  // the test posts the answer
  void RebuildBegun() override { ++rebuilds_; }

  void ConfirmAll() {
    while (!in_flight_.empty()) Confirm(in_flight_.begin()->first);
  }
  // Stores the message, but its PubAck is lost on the way.
  void StoreWithoutAnswer(uint64_t attempt) {
    const auto found = in_flight_.find(attempt);
    if (found != in_flight_.end()) Store(found->second);
  }
  // Posts an answer to an attempt at once, even if it is not in flight.
  void Answer(uint64_t attempt, PubAnswer::Kind kind, std::string text = "") {
    in_flight_.erase(attempt);
    inbox_->Complete(
        PubAnswer{.attempt = attempt, .kind = kind, .text = std::move(text)});
  }

  void SetAnswers(Answers answers) { answers_ = answers; }
  // The next `count` publishes find the socket's buffer full.
  void RefuseNextPublishes(size_t count) { refuse_next_ = count; }
  // Makes Resolve say kResolving until SetStream decides.
  void SetResolving(std::string_view target) {
    routes_[std::string(target)] = {Target::kResolving, ""};
  }
  // Sets whether a stream takes `target` (default: yes), and if not, why. Posts
  // TargetKnown if the target was being resolved.
  void SetStream(std::string_view target, bool covered, std::string why = "no stream") {
    Route& route = routes_[std::string(target)];
    const bool resolving = route.state == Target::kResolving;
    route = {covered ? Target::kReady : Target::kRefused, std::move(why)};
    if (resolving) inbox_->Complete(TargetKnown{std::string(target)});
  }
  // Sets what Warning returns for `target`.
  void SetWarning(std::string_view target, std::string text) {
    warnings_[std::string(target)] = std::move(text);
  }
  // For benchmarks: false = does not record publishes, acks and the stream.
  void SetRecording(bool on) { recording_ = on; }

  // Every publish, in order, including repeated ones.
  [[nodiscard]] const std::vector<Published>& published() const { return published_; }
  // The messages in the target stream, one per Nats-Msg-Id.
  [[nodiscard]] const std::vector<Published>& stored() const { return stored_; }
  // Unanswered publishes, by attempt number.
  [[nodiscard]] const std::map<uint64_t, Published>& in_flight() const {
    return in_flight_;
  }
  [[nodiscard]] const std::vector<std::string>& acked() const { return acked_; }
  [[nodiscard]] const std::vector<Termed>& termed() const { return termed_; }
  [[nodiscard]] const std::vector<Announced>& announced() const { return announced_; }
  [[nodiscard]] const std::vector<Replied>& replied() const { return replied_; }
  [[nodiscard]] const std::vector<uint64_t>& forgotten() const { return forgotten_; }
  [[nodiscard]] uint64_t publishes() const { return publishes_; }
  [[nodiscard]] uint64_t flushes() const { return flushes_; }
  [[nodiscard]] uint64_t looks_again() const { return looks_again_; }
  [[nodiscard]] uint64_t rebuilds() const { return rebuilds_; }
  [[nodiscard]] bool intake() const { return intake_; }
  [[nodiscard]] bool connected() const { return connected_; }
  // Clears the records, but not what is in flight, nor the stream's ids.
  void ClearRecords() {
    published_.clear();
    stored_.clear();
    acked_.clear();
    termed_.clear();
    announced_.clear();
    replied_.clear();
    forgotten_.clear();
  }

 private:
  struct Route {
    Target state = Target::kReady;
    std::string why;
  };
  uint64_t Store(const Published& message) override {
    if (!recording_) return ++stream_seq_;
    const std::string id = message.MsgId();
    if (!id.empty()) {
      const auto [known, fresh] = ids_.try_emplace(id, stream_seq_ + 1);
      if (!fresh) return known->second;
    }
    stored_.push_back(message);
    return ++stream_seq_;
  }
  void Flushed(uint64_t attempt) override {
    if (answers_ == Answers::kAtOnce) Confirm(attempt);
  }

  Answers answers_;
  bool intake_ = true;
  bool recording_ = true;
  size_t refuse_next_ = 0;
  uint64_t publishes_ = 0;
  uint64_t flushes_ = 0;
  uint64_t looks_again_ = 0;
  uint64_t rebuilds_ = 0;
  std::map<std::string, Route, std::less<>> routes_;
  std::map<std::string, std::string, std::less<>> warnings_;
  std::map<std::string, uint64_t, std::less<>> ids_;  // Nats-Msg-Id -> seq
  std::vector<Published> published_;
  std::vector<Published> stored_;
  std::vector<std::string> acked_;
  std::vector<Termed> termed_;
  std::vector<Announced> announced_;
  std::vector<Replied> replied_;
  std::vector<uint64_t> forgotten_;
};

}  // namespace expirer
