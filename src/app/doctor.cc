#include "app/commands.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/client.h"
#include "app/context.h"
#include "app/output.h"
#include "app/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "json/places.h"
#include "json/view.h"
#include "json/writer.h"
#include "net/jetstream.h"
#include "net/random_id.h"
#include "net/rule_streams.h"
#include "store/space.h"

namespace expirer {
namespace {

// Beyond it, an API cancel and a schedule sent a moment later may change places.
constexpr int64_t kClockWarnMs = 1'000;

class Doctor {
 public:
  Doctor(const Config& config, int64_t timeout_ms)
      : config_(config),
        client_(config.nats, config.name, timeout_ms),
        js_(&client_.requests(), config.nats.domain, timeout_ms),
        timeout_ms_(timeout_ms) {}

  int Run(bool round_trip) {
    if (const absl::Status up = client_.Connect(); !up.ok()) {
      Say(kFail, "connection", Message(up));
    } else {
      Say(kOk, "connection", client_.servers());
      for (const Rule& rule : config_.rules) CheckRule(rule);
      for (const Rule& rule : config_.rules) CheckTargets(rule);
      CheckClock();
      CheckService();
      if (round_trip) CheckRoundTrip();
      CheckPermissions();
    }
    CheckStore();
    return failed_ ? 1 : 0;
  }

 private:
  enum Result { kOk, kWarn, kFail };
  void Say(Result result, std::string_view check, std::string_view found) {
    constexpr const char* kWords[] = {"ok  ", "warn", "FAIL"};
    PrintOut(Visible(fmt::format("{}  {}: {}", kWords[result], check, found)) + "\n");
    failed_ = failed_ || result == kFail;
  }

  void CheckRule(const Rule& rule) {
    if (rule.source == Transport::kStan)
      return Say(kOk, "rule " + rule.name,
                 "reads NATS Streaming, which cannot be asked; see `health --ready`");
    const RuleFilters filters = FiltersOf(rule);
    std::set<std::string> streams;
    for (const std::string& filter : filters.anywhere)
      CheckFilter(rule, filter, &streams);
    for (const auto& [stream, of] : filters.named) streams.insert(stream);
    for (const std::string& stream : streams) CheckStream(rule, filters, stream);
  }

  void CheckStream(const Rule& rule, const RuleFilters& filters,
                   const std::string& stream) {
    const std::string check = "rule " + rule.name + ", stream " + stream;
    const auto info = js_.Stream(stream);
    if (JetStreamCode(info.status()) == kStreamNotFound) {
      for (const StreamSpec& made : config_.streams)
        if (made.name == stream) return Say(kWarn, check, "none yet; serve makes it");
      return Say(kFail, check, "the rule names this stream, but it does not exist");
    }
    if (!info.ok()) return Say(kFail, check, Message(info.status()));
    const std::vector<std::string> stored = StoredSubjects(&js_, *info);
    for (const std::string& filter : FiltersFor(filters, *info))
      if (const absl::Status stores = CheckStores(*info, stored, filter); !stores.ok())
        return Say(kFail, check, Message(stores));
    CheckConsumer(stream, config_.name + "-" + rule.name);
  }

  // Each stream that may take what the rule publishes.
  void CheckTargets(const Rule& rule) {
    for (const Publish& publish : rule.publish) CheckTarget(rule, publish);
    for (const Entry& entry : rule.cancel)
      if (entry.late) CheckTarget(rule, *entry.late);
  }

  void CheckTarget(const Rule& rule, const Publish& publish) {
    if (publish.via != Transport::kJetStream) return;
    const std::string target = publish.target.Filter();
    const std::string check = fmt::format("rule {}, target {}", rule.name, target);
    const auto names = js_.StreamNames(target);
    if (!names.ok()) return Say(kFail, check, Message(names.status()));
    if (names->empty())
      return SayMissing(publish.target.is_literal() ? kFail : kWarn, check, target,
                        "; its jobs are retried until a stream takes it");
    for (const std::string& name : *names) {
      const auto stream = js_.Stream(name);
      if (!stream.ok())
        Say(kWarn, check, name + " cannot be read: " + Message(stream.status()));
      else if (stream->no_ack)
        Say(kWarn, check,
            name +
                " has no_ack: it never confirms, so a job counts as fired once the "
                "NATS server has its message");
      else
        Say(kOk, check, name);
    }
  }

  void CheckFilter(const Rule& rule, const std::string& filter,
                   std::set<std::string>* streams) {
    const std::string check = "rule " + rule.name + ", stream of " + filter;
    const auto names = js_.StreamNames(filter);
    if (!names.ok()) return Say(kFail, check, Message(names.status()));
    if (!names->empty()) {
      Say(kOk, check, fmt::format("{}", fmt::join(*names, ", ")));
      streams->insert(names->begin(), names->end());
      return;
    }
    SayMissing(kFail, check, filter,
               "; if a mirror, a stream with sources or a transform stores it, name that "
               "stream with `stream`");
  }

  void SayMissing(Result result, const std::string& check, const std::string& filter,
                  std::string_view then) {
    for (const StreamSpec& stream : config_.streams)
      for (const std::string& subject : stream.subjects)
        if (SubjectCovers(subject, filter))
          return Say(kWarn, check, "none yet; serve makes " + stream.name);
    Say(result, check,
        std::string("no stream has it, and none of `streams` will").append(then));
  }

  void CheckConsumer(const std::string& stream, const std::string& durable) {
    const std::string check = "consumer " + durable + " of " + stream;
    if (clock_stream_.empty()) clock_stream_ = stream;
    const auto info = js_.Consumer(stream, durable);
    if (!info.ok() && JetStreamCode(info.status()) == kConsumerNotFound)
      return Say(kWarn, check, "none yet; serve makes it");
    if (!info.ok()) return Say(kFail, check, Message(info.status()));
    if (info->paused)
      return Say(kFail, check,
                 fmt::format("paused until {}, {} waiting", info->pause_until,
                             info->num_pending));
    const bool fit = info->ack_policy == "explicit" && info->max_deliver == -1 &&
                     info->deliver_subject.empty();
    Say(fit ? kOk : kFail, check,
        fit ? fmt::format("{} waiting, {} being applied", info->num_pending,
                          info->num_ack_pending)
            : "unfit: expected a pull consumer with explicit acks and no max_deliver");
  }

  void CheckClock() {
    if (clock_stream_.empty())
      return Say(kWarn, "clock", "no stream to ask for the time");
    const int64_t before_ms = SystemClock().NowMs();
    const auto reply = client_.Call(js_.prefix() + "STREAM.INFO." + clock_stream_, "");
    const int64_t after_ms = SystemClock().NowMs();
    if (!reply.ok()) return Say(kFail, "clock", Message(reply.status()));
    std::string ts;
    if (!ReadPlaces(*reply, {{"/ts", &ts}}).ok() || ts.empty())
      return Say(kWarn, "clock", "this server does not report its time (2.10 does)");
    const auto server_ms = ParseRfc3339(ts);
    if (!server_ms.ok()) return Say(kWarn, "clock", "the server's time cannot be read");
    const int64_t off_ms = *server_ms - (before_ms + after_ms) / 2;
    Say(std::abs(off_ms) > kClockWarnMs ? kWarn : kOk, "clock",
        fmt::format("the server's clock is {} ms {} ours", std::abs(off_ms),
                    off_ms < 0 ? "behind" : "ahead of"));
  }

  void CheckService() {
    const auto stats = client_.Ask("stats", "");
    if (!stats.ok()) return Say(kWarn, "service", Message(stats.status()));
    const auto members = JsonMembers(*stats);
    std::string told;
    for (const auto& [name, value] : members.ok() ? *members : std::vector<JsonMember>())
      for (const std::string_view wanted : {"pending", "retrying", "dead", "rejected"})
        if (name == wanted) told += fmt::format(", {} {}", value.raw, name);
    Say(kOk, "service", config_.name + " answers" + told);
    bool open = true;
    std::string free;
    std::string limit;
    Json rules;
    Json not_reading;
    if (!ReadPlaces(*stats, {{"/intake_open", &open},
                             {"/store/free_bytes", &free},
                             {"/store/disk_free_limit_bytes", &limit},
                             {"/rules", &rules},
                             {"/not_reading", &not_reading}})
             .ok())
      return;
    if (!open)
      Say(kWarn, "service",
          fmt::format(
              "takes no input: {} bytes are free, limits.disk_free is {}; or fewer "
              "than {} inodes are",
              free, limit, kResumeInodes));
    const auto items = JsonItems(not_reading.text);
    for (const JsonValue& item : items.ok() ? *items : std::vector<JsonValue>()) {
      std::string rule;
      std::string why;
      if (ReadPlaces(item.raw, {{"/rule", &rule}, {"/why", &why}}).ok())
        Say(kFail, fmt::format("rule {} is not reading", rule), why);
    }
    CheckJobs(rules.text);
  }

  // Those of each rule that somebody must do something about.
  void CheckJobs(const std::string& rules) {
    const auto members = JsonMembers(rules);
    if (!members.ok()) return;
    for (const auto& [rule, counts] : *members) {
      std::string retrying = "0";
      std::string dead = "0";
      (void)ReadPlaces(counts.raw, {{"/retrying", &retrying}, {"/dead", &dead}});
      const std::string check = "jobs of " + rule;
      if (retrying != "0")
        Say(kWarn, check,
            fmt::format("{} being retried: `expirer ls --rule {} --state retrying` has "
                        "the reasons",
                        retrying, rule));
      if (dead != "0")
        Say(kWarn, check,
            fmt::format("{} dead: `expirer dead ls --rule {}` has the reasons", dead,
                        rule));
    }
  }

  // A job that is stored, fires and comes back, as any other would.
  void CheckRoundTrip() {
    constexpr int64_t kInMs = 200;
    const std::string id = RandomId();
    client_.Listen(config_.name + ".v1.round-trip." + id);
    const int64_t before_ms = SystemClock().MonotonicMs();
    const auto taken = client_.Ask("round-trip", JsonObject("id", id, "in_ms", kInMs));
    if (!taken.ok()) return Say(kFail, "round trip", Message(taken.status()));
    const int64_t stored_ms = SystemClock().MonotonicMs() - before_ms;
    if (!client_.Heard(kInMs + timeout_ms_))
      return Say(kFail, "round trip", "the job was stored, but was not received in time");
    const int64_t all_ms = SystemClock().MonotonicMs() - before_ms;
    Say(kOk, "round trip",
        fmt::format("a job due in {} ms was stored within {} ms and received after {} ms",
                    kInMs, stored_ms, all_ms));
  }

  void CheckPermissions() {
    const std::vector<std::string> errors = client_.errors();
    for (const std::string& error : errors) Say(kFail, "permissions", error);
    if (errors.empty())
      Say(kOk, "permissions",
          "none was missing for these checks (they publish to no target)");
  }

  void CheckStore() {
    const std::string path = config_.StatusFile();
    const Health health = ReadHealth(path, SystemClock().MonotonicMs());
    if (health.ready && !health.intake_open)
      return Say(kWarn, "store",
                 "takes no input: less than limits.disk_free is free, or too few inodes; "
                 "by " +
                     path);
    if (health.ready) return Say(kOk, "store", "ready, by " + path);
    const bool runs = health.live && health.why != "stopped";
    Say(runs ? kFail : kWarn, "store", health.why);
  }

  const Config& config_;
  Client client_;
  JetStream js_;
  const int64_t timeout_ms_;
  std::string clock_stream_;
  bool failed_ = false;
};

}  // namespace

int RunDoctor(const Config& config, int64_t timeout_ms, bool round_trip) {
  SetLog(Level::kError, LogFormat::kText);
  return Doctor(config, timeout_ms).Run(round_trip);
}

}  // namespace expirer
