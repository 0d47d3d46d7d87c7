#include "net/ingress.h"

#include <utility>

#include "base/log.h"

namespace expirer {
namespace {

std::unique_ptr<CoreReader> MakeCoreReader(const IngressOptions& options,
                                           const std::vector<Rule>& rules, Inbox* inbox,
                                           ReadLink* link) {
  std::unique_ptr<CoreReader> core;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].source != Transport::kCore) continue;
    if (core == nullptr)
      core = std::make_unique<CoreReader>(options.connection, inbox, link);
    core->Add(static_cast<RuleIndex>(i), rules[i], options.Durable(rules[i].name),
              options.job_limits);
  }
  return core;
}

}  // namespace

Ingress::Ingress(IngressOptions options, const std::vector<Rule>* rules, Inbox* inbox,
                 const Clock* clock, std::map<std::string, std::string> floors)
    : options_(std::move(options)),
      rules_(rules),
      inbox_(inbox),
      link_(rules, inbox, clock),
      connection_(options_.connection, "ingress",
                  {[this] { link_.LinkUp(connection_.server_id()); },
                   [this](const std::string&) {
                     link_.LinkDown();
                     requests_.ConnectionLost();
                   },
                   LogErrorsOf("ingress"),
                   [this] {
                     requests_.Tick();
                     link_.LinkTick();
                   }}),
      core_(MakeCoreReader(options_, *rules, inbox, &link_)),
      requests_(&connection_),
      pull_replies_(&connection_),
      js_(&requests_, options_.connection.domain),
      reading_{.options = options_,
               .rules = *rules,
               .connection = &connection_,
               .replies = &pull_replies_,
               .js = &js_,
               .inbox = inbox,
               .clock = clock,
               .link = &link_,
               .streams = ConfiguredStreams(&js_, options_.streams, *rules),
               .floors = std::move(floors)},
      control_(&reading_, &requests_, core_ ? &core_->connection() : nullptr) {
  inbox_->OnRoom([this] { link_.TickPulls(); });
}

Ingress::~Ingress() {
  Close(0);
  inbox_->OnRoom([] {});
}

void Ingress::Start() {
  connection_.EnablePulse();
  connection_.Start();
  if (core_ != nullptr) core_->Start();
  control_.Start();
}

void Ingress::Close(int64_t flush_ms) {
  Stop();
  if (core_ != nullptr) core_->connection().Stop(0);
  connection_.Stop(flush_ms);  // ends a request the control thread waits for
  control_.Join();
}

void Ingress::Ack(const std::string& reply) {
  (void)connection_.Publish(reply, "", "+ACK");
}

void Ingress::Term(const std::string& reply, std::string_view reason) {
  // Servers before 2.10.4 take only the bare word.
  (void)reason;
  (void)connection_.Publish(reply, "", "+TERM");
}

void Ingress::Reply(const Caller& caller, int code, const std::string& body) {
  if (replier_) replier_(caller, code, body);
}

void Ingress::Announce(const std::string& subject, const std::string& payload) {
  const Connection::Sent sent = connection_.Publish(subject, "", payload);
  if (sent == Connection::Sent::kOk) return;
  ++announcements_lost_;
  if (sent == Connection::Sent::kTooLarge)
    LogGathered(Level::kWarn, "an announcement exceeds the server's max_payload", "", "",
                {{"subject", subject}, {"bytes", payload.size()}});
}

uint64_t Ingress::slow_consumers() const {
  return connection_.slow_consumers() +
         (core_ ? core_->connection().slow_consumers() : 0);
}

std::array<Pulse, GapWatch::kPulsesMax> Ingress::Pulses() const {
  return {connection_.pulse(), core_ ? core_->connection().pulse() : Pulse()};
}

std::string Ingress::Disconnected() const {
  std::string why = connection_.trouble();
  if (why.empty() && core_ != nullptr) why = core_->connection().trouble();
  return why;
}

std::string Ingress::Trouble(RuleIndex rule) const {
  const Transport source = (*rules_)[rule].source;
  if (source != Transport::kStan) {
    const std::string why = source == Transport::kCore ? core_->connection().trouble()
                                                       : connection_.trouble();
    if (!why.empty()) return "not connected to NATS: " + why;
  }
  return control_.Trouble(rule);
}

}  // namespace expirer
