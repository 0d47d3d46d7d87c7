// Brings the messages of every rule's streams to the core, and the core's acks
// back. Rules with `source: stan` are net/stan's.
//
// This is the connection and the core's side of it. Nothing is read before admission
// (net/admission.h). What is read, and up to where, is decided by a control thread
// (net/read_control.h), with a reader for each rule and stream (net/rule_reader.h);
// rules without a stream have theirs (net/core_reader.h).
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "net/core_reader.h"
#include "net/read_control.h"
#include "net/requests.h"
#include "sched/gap_watch.h"

namespace expirer {

// Inbound: core thread. Everything else: any one thread. Destroyed only when
// nobody drains the inbox any more.
class Ingress final : public Inbound {
 public:
  // `rules`, `inbox` and `clock` outlive it. `floors` are all ConsumerFloors
  // ever posted, the last value by its key (meta "consumer/" without the
  // prefix): which streams there are is known only once connected.
  Ingress(IngressOptions options, const std::vector<Rule>* rules, Inbox* inbox,
          const Clock* clock, std::map<std::string, std::string> floors);
  ~Ingress() override;

  // Begins to connect and read.
  void Start();
  // Asks for no more messages and returns; what was delivered may still be
  // acked. RuleRead is posted no more.
  void Stop() { link_.Stop(); }
  // Waits at most `flush_ms` until the server has the acks, then closes.
  // Implies Stop.
  void Close(int64_t flush_ms);

  void Ack(const std::string& reply) override;
  void Term(const std::string& reply, std::string_view reason) override;
  void Reply(const Caller& caller, int code, const std::string& body) override;
  void Announce(const std::string& subject, const std::string& payload) override;
  void Flush() override { connection_.Flush(); }
  void SetIntake(bool open) override { link_.SetIntake(open); }
  void LookAgain(LookHow how) override { link_.LookAgain(how); }
  void RebuildBegun() override { control_.RebuildBegun(); }

  [[nodiscard]] bool up() const { return connection_.up(); }
  // See Connection; slow_consumers counts those of core NATS, too. Any thread.
  [[nodiscard]] uint64_t connects() const { return connection_.generation(); }
  [[nodiscard]] uint64_t slow_consumers() const;
  // Announcements that could not be sent. Any thread.
  [[nodiscard]] uint64_t announcements_lost() const { return announcements_lost_; }
  // Consumers made anew because they had read further than their streams go.
  [[nodiscard]] uint64_t consumers_ahead() const { return reading_.consumers_ahead; }
  // Of the threads that read its sockets. Any thread.
  [[nodiscard]] std::array<Pulse, GapWatch::kPulsesMax> Pulses() const;
  // For the service API, which shares it. Subscribe before Start.
  [[nodiscard]] Connection& connection() { return connection_; }
  // Where Reply goes. Before Start.
  using Replier = std::function<void(const Caller&, int code, const std::string& body)>;
  void OnReply(Replier replier) { replier_ = std::move(replier); }
  // Before Start.
  void OnAdmission(ReadControl::Outcome outcome) {
    control_.OnAdmission(std::move(outcome));
  }
  // Why one of its connections is not there; "" while they are. Any thread.
  [[nodiscard]] std::string Disconnected() const;
  // What keeps a rule from being read, in one sentence; "" when nothing does. There
  // is no connection, it cannot be set up, or its consumer is paused, refuses what is
  // asked of it, or has messages and brings none.
  [[nodiscard]] std::string Trouble(RuleIndex rule) const;

 private:
  const IngressOptions options_;
  const std::vector<Rule>* const rules_;
  Inbox* const inbox_;
  Replier replier_;
  std::atomic<uint64_t> announcements_lost_ = 0;

  ReadLink link_;
  Connection connection_;
  std::unique_ptr<CoreReader> core_;  // null if no rule has `source: core`
  Requests requests_;
  PullReplies pull_replies_;
  JetStream js_;
  Reading reading_;
  ReadControl control_;
};

}  // namespace expirer
