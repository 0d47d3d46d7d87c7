#include "net/admission.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/micro.h"
#include "sched/streams.h"

namespace expirer {
namespace {

constexpr std::string_view kFlags =
    "; start with --adopt=rebuild to read the stream again before anything fires, or "
    "with --adopt=new to go on from the consumer's position";

// Claims the consumer for this store, once: if another store takes it later, this one
// must not take it back.
ConsumerWish Adopting(const WishedSource& source) {
  ConsumerWish wish = source.wish;
  wish.adopt = true;
  return wish;
}

}  // namespace

Admission::Admission(const IngressOptions* options,
                     const std::map<std::string, std::string>& floors, Requests* requests,
                     JetStream* js)
    : options_(*options),
      requests_(requests),
      js_(js),
      replace_all_(!options->rebuilding) {
  for (const auto& [key, value] : floors)
    if (value == EncodeFloor(kGivenUp)) given_up_.insert(key);
}

// Runs before our own service listens, so any answer comes from another process. No
// answer and "no responders" mean the same, because a killed process's subscriptions may
// outlive it.
absl::Status Admission::FindOthers() {
  const auto reply = requests_->Call("$SRV.PING." + options_.name, "", kPingMs);
  if (!reply.ok()) return absl::OkStatus();
  const ServiceIdentity other = ReadPing(*reply);
  return Refused(fmt::format(
      "another service named {} runs on this NATS (instance {}{}): two would take each "
      "other's messages and requests; stop it, or give this one another "
      "`name`",
      options_.name, other.id,
      other.store_id.empty() ? "" : ", store " + other.store_id));
}

absl::StatusOr<std::string> Admission::ExamineMark(
    const std::string& rule, const std::vector<WishedSource>& sources) {
  const std::string prefix = SourceKey(rule, "");
  for (auto mark = options_.read_marks.lower_bound(prefix);
       mark != options_.read_marks.end() && mark->first.starts_with(prefix); ++mark) {
    const std::string stream = mark->first.substr(prefix.size());
    if (given_up_.contains(mark->first)) continue;
    if (std::any_of(sources.begin(), sources.end(),
                    [&stream](const WishedSource& s) { return s.stream.name == stream; }))
      continue;
    const absl::Status found = js_->Stream(stream).status();
    if (found.ok()) continue;
    if (JetStreamCode(found) != kStreamNotFound) return found;
    if (options_.adopt == Adopt::kNew) {
      given_up_.insert(mark->first);
      Log(Level::kWarn, "--adopt=new: going on without a stream that was read before",
          {{"stream", stream}, {"rule", rule}});
      continue;
    }
    return fmt::format(
        "stream {}, which rule {} has read up to {}, does not exist: either this login "
        "belongs to another account, or the stream was deleted. Log in to the account "
        "that has it, or start with --adopt=new to go on without it and fire the stored "
        "jobs here",
        stream, rule, mark->second);
  }
  return std::string();
}

absl::StatusOr<std::string> Admission::Examine(const WishedSource& source) {
  if (!source.wish.was.empty()) {
    WishedSource before = source;
    before.wish.durable = std::exchange(before.wish.was, "");
    ASSIGN_OR_RETURN(std::string objection, Examine(before));
    if (!objection.empty()) return objection;
  }
  const auto info = js_->Consumer(source.stream.name, source.wish.durable);
  if (!info.ok()) {
    if (JetStreamCode(info.status()) == kConsumerNotFound) return std::string();
    return info.status();
  }
  const Standing standing = Inspect(source.stream, source.wish, *info);
  if (standing.kind != Standing::Kind::kFit) return standing.why;
  // No process ever acked a message of it.
  if (info->ack_floor_consumer_seq == 0) return std::string();
  uint64_t read_to = 0;
  const auto mark = options_.read_marks.find(SourceKey(source.rule, source.stream.name));
  if (mark != options_.read_marks.end()) read_to = mark->second;
  if (const auto& floor = source.wish.floor;
      floor.has_value() && floor->created == source.stream.created)
    read_to = std::max(read_to, floor->floor);
  const uint64_t acked_to = info->ack_floor_stream_seq;
  if (acked_to <= read_to) return std::string();
  // The floor also passes over messages that the filter leaves out. So search for one
  // that matches the filter: another process has acked it.
  const std::vector<std::string> all = {">"};
  for (const std::string& filter : info->filters.empty() ? all : info->filters) {
    ASSIGN_OR_RETURN(const uint64_t next,
                     js_->NextSequence(source.stream.name, filter, read_to + 1));
    if (next == 0 || next > acked_to) continue;
    return fmt::format(
        "consumer {} of stream {} was acked up to {}, but this store has only read up to "
        "{}: its volume was restored from an older copy, or is new",
        source.wish.durable, source.stream.name, acked_to, read_to);
  }
  return std::string();
}

absl::StatusOr<Admission::Verdict> Admission::Judge(
    const std::vector<Rule>& rules, const std::vector<WishedSource>& sources) {
  if (!alone_) {
    if (const absl::Status alone = FindOthers(); !alone.ok()) {
      why_ = Message(alone);
      return Verdict::kRefused;
    }
    alone_ = true;
  }
  for (const Rule& rule : rules) {
    if (rule.source != Transport::kJetStream) continue;
    ASSIGN_OR_RETURN(std::string objection, ExamineMark(rule.name, sources));
    if (objection.empty()) continue;
    // The stream has no message that a rebuild could read.
    why_ = std::move(objection);
    return Verdict::kRefused;
  }
  for (const WishedSource& source : sources) {
    ASSIGN_OR_RETURN(std::string objection, Examine(source));
    if (objection.empty()) continue;
    why_ = std::move(objection);
    if (options_.rebuilding) return Verdict::kRebuild;
    switch (options_.adopt) {
      case Adopt::kRefuse: why_.append(kFlags); return Verdict::kRefused;
      case Adopt::kRebuild: return Verdict::kRebuild;
      case Adopt::kNew:
        Log(Level::kWarn, "--adopt=new: going on from a consumer's position",
            {{"why", why_}});
        RETURN_IF_ERROR(EnsureConsumer(js_, source.stream, Adopting(source)).status());
        break;
    }
  }
  return options_.rebuilding ? Verdict::kRebuild : Verdict::kAdmitted;
}

absl::Status Admission::Replace(const std::vector<WishedSource>& sources) {
  for (const WishedSource& source : sources) {
    const auto info = js_->Consumer(source.stream.name, source.wish.durable);
    if (!info.ok() && JetStreamCode(info.status()) != kConsumerNotFound)
      return info.status();
    if (info.ok() && !replace_all_) {
      ASSIGN_OR_RETURN(const std::string objection, Examine(source));
      if (objection.empty()) continue;
    }
    if (info.ok())
      RETURN_IF_ERROR(js_->DeleteConsumer(source.stream.name, source.wish.durable));
    ConsumerWish wish = source.wish;
    wish.floor.reset();
    if (const std::string was = std::exchange(wish.was, ""); !was.empty())
      RETURN_IF_ERROR(js_->DeleteConsumer(source.stream.name, was));
    // Nobody knows where the consumer of a rule with `deliver: new` began.
    if (wish.deliver.from == Deliver::From::kNew) wish.deliver = Deliver();
    RETURN_IF_ERROR(EnsureConsumer(js_, source.stream, wish).status());
    Log(Level::kWarn, "a stream is read again from its beginning",
        {{"stream", source.stream.name}, {"consumer", source.wish.durable}});
  }
  return absl::OkStatus();
}

}  // namespace expirer
