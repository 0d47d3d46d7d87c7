// The network in memory, for tests, benchmarks and replay: an Egress and an Inbound that
// record what the core sends, and a stream that stores what it publishes. Tests call
// functions to simulate the faults of a real network.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sched/egress.h"
#include "sched/inbox.h"

namespace expirer {

// One thread (that of the core). Answers go through the inbox, so the core
// sees them in its next Step.
class MemoryBus final : public Egress, public Inbound {
 public:
  // One publish as it left the core.
  struct Published {
    uint64_t attempt = 0;
    std::string target;
    Headers headers;
    std::string body;
    Transport via = Transport::kJetStream;
    // "" if there is none.
    [[nodiscard]] std::string Header(std::string_view name) const;
    [[nodiscard]] std::string MsgId() const { return Header("Nats-Msg-Id"); }
  };
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

  // The inbox must outlive the bus. Starts connected; nothing is posted.
  explicit MemoryBus(Inbox* inbox, Answers answers = Answers::kAtOnce);

  // Egress.
  [[nodiscard]] Target Resolve(Transport via, std::string_view target,
                               std::string* why) override;
  [[nodiscard]] bool Publish(uint64_t attempt, Transport via, std::string_view target,
                             const HeaderViews& headers, std::string_view body) override;
  [[nodiscard]] std::string Warning(Transport via, std::string_view target) override;
  void Flush() override;  // for Egress and Inbound
  void Forget(uint64_t attempt, std::string_view target, bool timed_out) override;

  // Inbound.
  void Ack(const std::string& reply) override;
  void Term(const std::string& reply, std::string_view reason) override;
  void Reply(const Caller& caller, int code, const std::string& body) override;
  void Announce(const std::string& subject, const std::string& payload) override;
  void SetIntake(bool open) override { intake_ = open; }
  void LookAgain(LookHow) override { ++looks_again_; }  // the test posts the answer
  void RebuildBegun() override { ++rebuilds_; }

  // Posts an answer to an attempt at once, even if it is not in flight. The stream first
  // stores the message, unless it has its Nats-Msg-Id already.
  void Confirm(uint64_t attempt);
  void ConfirmAll();
  // Stores the message, but its PubAck is lost on the way.
  void StoreWithoutAnswer(uint64_t attempt);
  void Answer(uint64_t attempt, PubAnswer::Kind kind, std::string text = "");

  void SetAnswers(Answers answers) { answers_ = answers; }
  // Down: loses what is in flight and posts EgressChanged{false}. Up: posts
  // EgressChanged{true}. Does nothing if the state does not change.
  void SetConnected(bool connected);
  // The next `count` publishes find the socket's buffer full.
  void RefuseNextPublishes(size_t count) { refuse_next_ = count; }
  // Makes Resolve say kResolving until SetStream decides.
  void SetResolving(std::string_view target);
  // Sets whether a stream takes `target` (default: yes), and if not, why. Posts
  // TargetKnown if the target was being resolved.
  void SetStream(std::string_view target, bool covered, std::string why = "no stream");
  // Sets what Warning returns for `target`.
  void SetWarning(std::string_view target, std::string text) {
    warnings_[std::string(target)] = std::move(text);
  }
  // For benchmarks: false = does not record publishes, acks and the stream.
  void SetRecording(bool on) { recording_ = on; }
  // Called for each publish at its Flush, in order.
  void OnPublish(std::function<void(const Published&)> hook) { hook_ = std::move(hook); }

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
  void ClearRecords();

 private:
  struct Route {
    Target state = Target::kReady;
    std::string why;
  };
  // Stores the message in the stream and returns its sequence.
  uint64_t Store(const Published& message);

  Inbox* const inbox_;
  Answers answers_;
  bool connected_ = true;
  bool intake_ = true;
  bool recording_ = true;
  size_t refuse_next_ = 0;
  uint64_t publishes_ = 0;
  uint64_t flushes_ = 0;
  uint64_t looks_again_ = 0;
  uint64_t rebuilds_ = 0;
  uint64_t stream_seq_ = 0;
  std::function<void(const Published&)> hook_;
  std::map<std::string, Route, std::less<>> routes_;
  std::map<std::string, std::string, std::less<>> warnings_;
  std::map<std::string, uint64_t, std::less<>> ids_;  // Nats-Msg-Id -> seq
  std::map<uint64_t, Published> in_flight_;
  std::vector<uint64_t> unflushed_;
  std::vector<Published> published_;
  std::vector<Published> stored_;
  std::vector<std::string> acked_;
  std::vector<Termed> termed_;
  std::vector<Announced> announced_;
  std::vector<Replied> replied_;
  std::vector<uint64_t> forgotten_;
};

}  // namespace expirer
