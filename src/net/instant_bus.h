// The network in memory, for replay and benchmarks: an Egress whose stream confirms every
// message at once, and an Inbound that drops what it is told. Tests add faults and
// records to it (tests/support/memory_bus.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sched/egress.h"
#include "sched/inbox.h"

namespace expirer {

// One thread (that of the core). Answers go through the inbox, so the core
// sees them in its next Step.
class InstantBus : public Egress, public Inbound {
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

  // The inbox must outlive the bus. Starts connected; nothing is posted.
  explicit InstantBus(Inbox* inbox) : inbox_(inbox) {}

  [[nodiscard]] Target Resolve(Transport, std::string_view, std::string*) override {
    return Target::kReady;
  }
  [[nodiscard]] bool Publish(uint64_t attempt, Transport via, std::string_view target,
                             const HeaderViews& headers, std::string_view body) override;
  void Flush() override;  // for Egress and Inbound
  void Forget(uint64_t attempt, std::string_view, bool) override {
    in_flight_.erase(attempt);
  }
  void Ack(const std::string&) override {}
  void Term(const std::string&, std::string_view) override {}
  void Reply(const Caller&, int, const std::string&) override { inbox_->Answered(); }
  void Announce(const std::string&, const std::string&) override {}
  void SetIntake(bool) override {}
  void LookAgain(LookHow) override {}
  void RebuildBegun() override {}

  // Down: loses what is in flight and posts EgressChanged{false}. Up: posts
  // EgressChanged{true}. Does nothing if the state does not change.
  void SetConnected(bool connected);
  // Called for each publish at its Flush, in order.
  void OnPublish(std::function<void(const Published&)> hook) { hook_ = std::move(hook); }
  // Posts the confirmation of an attempt, even if it is not in flight. The stream first
  // stores the message.
  void Confirm(uint64_t attempt);

 protected:
  // Stores the message in the stream and returns its sequence, which is not a new one if
  // the stream has the message already.
  virtual uint64_t Store(const Published&) { return ++stream_seq_; }
  // The attempt has left.
  virtual void Flushed(uint64_t attempt) { Confirm(attempt); }

  Inbox* const inbox_;
  bool connected_ = true;
  uint64_t stream_seq_ = 0;
  std::map<uint64_t, Published> in_flight_;  // by attempt

 private:
  std::vector<uint64_t> unflushed_;
  std::function<void(const Published&)> hook_;
};

}  // namespace expirer
