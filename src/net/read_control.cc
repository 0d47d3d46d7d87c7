#include "net/read_control.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "net/rule_streams.h"

namespace expirer {
namespace {

constexpr int64_t kSetupBackOffFirstMs = 100;
constexpr int64_t kSetupBackOffMaxMs = 2'000;
// A rule in order is looked at again for streams made meanwhile.
constexpr int64_t kRediscoverMs = 60'000;
constexpr int64_t kIdleMs = 1'000;
constexpr size_t kBatchMax = 1'000;  // messages of one pull
// A stream or consumer that cannot be looked at keeps all rules from starting
// for this long at most.
constexpr int64_t kAdmissionMaxMs = 30'000;

}  // namespace

ReadControl::ReadControl(Reading* reading, Requests* requests, const Connection* core)
    : reading_(reading),
      core_(core),
      admission_(&reading->options, reading->floors, requests, reading->js),
      states_(reading->rules.size()),
      rebuild_begun_(reading->options.rebuilding),
      troubles_(reading->rules.size()),
      hindrances_(reading->rules.size()) {
  for (size_t i = 0; i < states_.size(); ++i)
    if (!ReadElsewhere(reading->rules[i])) troubles_[i] = "not connected to NATS yet";
}

void ReadControl::Start() {
  control_ = StartThread("nats-control", [this] { Run(); });
}

void ReadControl::Join() {
  if (control_.joinable()) control_.join();
}

void ReadControl::RebuildBegun() {
  rebuild_begun_ = true;
  reading_->link->Wake();
}

std::string ReadControl::Trouble(RuleIndex rule) const {
  MutexLock lock(&mutex_);
  return troubles_[rule].empty() ? hindrances_[rule] : troubles_[rule];
}

void ReadControl::Run() {
  ReadLink* const link = reading_->link;
  int64_t next_ms = 0;
  while (!link->stopping()) {
    // At least a millisecond: no error can make this a busy loop.
    const ReadLink::State seen =
        link->Await(std::clamp<int64_t>(next_ms - MonotonicMs(), 1, kIdleMs));
    if (link->stopping()) return;
    next_ms = MonotonicMs() + kIdleMs;
    if (std::exchange(epoch_, seen.epoch) != seen.epoch)
      BeginEpoch();
    else if (seen.look)
      LookAgain();
    if (!seen.up) continue;
    if (!ContinueAdmission()) {
      next_ms = MonotonicMs() + kSetupBackOffFirstMs;
      continue;
    }
    const auto going = [&] { return !link->stopping() && phase_ == Phase::kAdmitted; };
    for (size_t i = 0; i < states_.size() && going(); ++i)
      next_ms = std::min(next_ms, MaintainRule(static_cast<RuleIndex>(i)));
    if (going())
      next_ms = std::min(next_ms, reading_->streams.KeepTargets(MonotonicMs()));
    next_ms = std::min(next_ms, ServeReaders());
  }
}

// Within an epoch all consumers stay as they are; how far they are is found out anew.
void ReadControl::LookAgain() {
  for (RuleState& state : states_) {
    for (const auto& reader : state.readers) reader->LookAgain();
    state.said = {};  // also of those without readers
  }
}

void ReadControl::BeginEpoch() {
  reading_->streams.LookAgain();
  for (size_t i = 0; i < states_.size(); ++i) {
    RuleState& state = states_[i];
    for (const auto& reader : state.readers) reader->Close();
    state.blocked = true;
    state.next_setup_ms = 0;
    state.back_off_ms = 0;
    if (ReadElsewhere(reading_->rules[i])) continue;
    Post({static_cast<RuleIndex>(i), RuleRead::State::kAway, reading_->link->Now()});
  }
}

void ReadControl::Post(const RuleRead& read) {
  states_[read.rule].said = read;
  // Not if the link has changed: judged by what held before, it is no longer true.
  reading_->link->Post(read, epoch_);
}

bool ReadControl::ContinueAdmission() {
  if (phase_ == Phase::kAdmitted) return true;
  if (phase_ == Phase::kRefused) return false;
  if (admission_since_ms_ == 0) admission_since_ms_ = MonotonicMs();
  if (const absl::Status status = Admit(); !status.ok()) {
    for (size_t i = 0; i < states_.size(); ++i)
      Complain(static_cast<RuleIndex>(i), Message(status));
    // Not with a rebuild half done: it would fire what may have fired.
    const bool waiting = MonotonicMs() - admission_since_ms_ < kAdmissionMaxMs;
    if (!waiting && phase_ == Phase::kJudging && !reading_->options.rebuilding) {
      Log(Level::kWarn, "starting although not all consumers could be looked at",
          {{"why", Message(status)}});
      EndAdmission();
    }
  }
  return phase_ == Phase::kAdmitted;
}

absl::Status ReadControl::Admit() {
  ASSIGN_OR_RETURN(const std::vector<WishedSource> sources, WishedSources());
  if (phase_ == Phase::kJudging) {
    ASSIGN_OR_RETURN(const Admission::Verdict verdict,
                     admission_.Judge(reading_->rules, sources));
    // What was asked over a link that is gone says nothing.
    if (!reading_->link->Holds(epoch_)) return absl::OkStatus();
    switch (verdict) {
      case Admission::Verdict::kRefused: Refuse(admission_.why()); break;
      case Admission::Verdict::kAdmitted: EndAdmission(); break;
      case Admission::Verdict::kRebuild:
        phase_ = Phase::kAwaitingRebuild;
        // An open rebuild goes on. If the store is an older copy of its volume, the
        // rebuild begins anew: another process may have finished it, and fired since.
        rebuild_begun_ = admission_.why().empty();
        if (rebuild_begun_) break;
        Log(Level::kWarn, "rebuilding the store from its streams",
            {{"why", admission_.why()}});
        reading_->inbox->Complete(RebuildAsked{});
        break;
    }
  }
  if (phase_ == Phase::kAwaitingRebuild && rebuild_begun_) {
    phase_ = Phase::kReplacing;
    reading_->floors.clear();
  }
  if (phase_ == Phase::kReplacing) {
    RETURN_IF_ERROR(admission_.Replace(sources));
    EndAdmission();
  }
  return absl::OkStatus();
}

void ReadControl::EndAdmission() {
  phase_ = Phase::kAdmitted;
  for (const std::string& key : admission_.given_up()) reading_->PostFloor(key, kGivenUp);
  reading_->inbox->Complete(Admitted{});
  if (outcome_.admitted) outcome_.admitted();
}

void ReadControl::Refuse(const std::string& why) {
  phase_ = Phase::kRefused;
  if (outcome_.refused) outcome_.refused(why);
}

absl::StatusOr<std::vector<WishedSource>> ReadControl::WishedSources() {
  std::vector<WishedSource> sources;
  for (const Rule& rule : reading_->rules) {
    if (rule.source != Transport::kJetStream) continue;
    ASSIGN_OR_RETURN(const std::vector<std::string> streams, FindStreams(rule, nullptr));
    for (const std::string& name : streams) {
      auto stream = reading_->js->Stream(name);
      if (JetStreamCode(stream.status()) == kStreamNotFound) continue;
      if (!stream.ok()) return stream.status();
      ConsumerWish wish = reading_->WishFor(rule, *stream);
      if (!wish.filters.empty())
        sources.push_back({rule.name, *std::move(stream), std::move(wish)});
    }
  }
  return sources;
}

int64_t ReadControl::MaintainRule(RuleIndex index) {
  if (ReadElsewhere(reading_->rules[index])) return INT64_MAX;
  if (reading_->rules[index].source == Transport::kCore) return MaintainCoreRule(index);
  RuleState& state = states_[index];
  for (const auto& reader : state.readers) {
    const RuleReader::News news = reader->TakeNews();
    if (news.unheard) state.said = {};
    if (news.resubjected) state.next_setup_ms = 0;
    if (!news.broken) continue;
    Post({index, RuleRead::State::kAway, reading_->link->Now()});
    // The first repair at once, the next ones ever later until it holds.
    if (!state.blocked) state.next_setup_ms = 0;
    state.blocked = true;
  }
  const int64_t now_ms = MonotonicMs();
  if (now_ms < state.next_setup_ms) return state.next_setup_ms;
  std::string missing;
  const absl::Status status = SetUpRule(index, &missing);
  if (IsForeign(status)) {
    Refuse(Message(status));
    return INT64_MAX;
  }
  state.blocked = !status.ok();
  Complain(index, status.ok() ? missing : Message(status));
  if (status.ok() && missing.empty()) {
    // Not reset at once: a consumer that is deleted again and again must not
    // make this a busy loop.
    state.back_off_ms /= 2;
    state.next_setup_ms = MonotonicMs() + kRediscoverMs;
  } else {
    state.back_off_ms =
        std::clamp(state.back_off_ms * 2, kSetupBackOffFirstMs, kSetupBackOffMaxMs);
    // Counted from when this try began: if it waited for an answer, that was a pause.
    state.next_setup_ms = now_ms + state.back_off_ms;
  }
  return state.next_setup_ms;
}

// Nothing to read up to: what came while we were away is gone.
int64_t ReadControl::MaintainCoreRule(RuleIndex index) {
  RuleState& state = states_[index];
  state.blocked = !core_->up();
  Complain(index, state.blocked ? "the connection to core NATS is not up yet" : "");
  if (state.blocked) return MonotonicMs() + kSetupBackOffFirstMs;
  if (state.said.state != RuleRead::State::kCaughtUp)
    Post({index, RuleRead::State::kCaughtUp, reading_->link->Now()});
  return MonotonicMs() + kRediscoverMs;
}

absl::Status ReadControl::SetUpRule(RuleIndex index, std::string* missing) {
  RuleState& state = states_[index];
  ASSIGN_OR_RETURN(const std::vector<std::string> streams,
                   FindStreams(reading_->rules[index], missing));
  for (const auto& reader : state.readers) {
    if (std::find(streams.begin(), streams.end(), reader->stream()) == streams.end())
      reader->Close();  // the stream is gone, or carries other subjects
  }
  absl::Status first_error;
  for (const std::string& stream : streams) {
    RuleReader* const reader = ReaderOf(index, stream);
    if (reader->ready()) continue;
    const Instant asked = reading_->link->Now();
    const absl::Status status = reader->SetUp();
    if (!status.ok() && first_error.ok()) first_error = status;
    if (status.ok() && state.said.state != RuleRead::State::kAway)
      Post({index, RuleRead::State::kAway, asked});
  }
  return first_error;
}

absl::StatusOr<std::vector<std::string>> ReadControl::FindStreams(const Rule& rule,
                                                                  std::string* missing) {
  const RuleFilters filters = FiltersOf(rule);
  std::set<std::string> streams;
  std::vector<std::string> uncarried;
  std::vector<std::string> unnamed;
  for (const std::string& filter : filters.anywhere) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     reading_->js->StreamNames(filter));
    streams.insert(names.begin(), names.end());
    if (!names.empty() || missing == nullptr) continue;
    ASSIGN_OR_RETURN(const std::string made,
                     reading_->streams.MakeFor(filter, "", MonotonicMs()));
    if (made.empty())
      uncarried.push_back(filter);
    else
      streams.insert(made);
  }
  for (const auto& [name, of] : filters.named) {
    streams.insert(name);
    if (missing == nullptr) continue;
    const absl::Status there = reading_->js->Stream(name).status();
    if (there.ok()) continue;
    if (JetStreamCode(there) != kStreamNotFound) return there;
    ASSIGN_OR_RETURN(const std::string made,
                     reading_->streams.MakeFor(of.front(), name, MonotonicMs()));
    if (!made.empty()) continue;
    unnamed.push_back(name);
    streams.erase(name);
  }
  if (!unnamed.empty())
    *missing = fmt::format("there is no stream {}, which the rule names",
                           fmt::join(unnamed, ", "));
  else if (!uncarried.empty())
    *missing = fmt::format(
        "no stream carries {} (one that stores it as a mirror, from a source or by a "
        "transform is named by `stream`)",
        fmt::join(uncarried, ", "));
  return std::vector<std::string>(streams.begin(), streams.end());
}

RuleReader* ReadControl::ReaderOf(RuleIndex index, const std::string& stream) {
  auto& readers = states_[index].readers;
  for (const auto& reader : readers)
    if (reader->stream() == stream) return reader.get();
  return readers.emplace_back(std::make_unique<RuleReader>(reading_, index, stream))
      .get();
}

int64_t ReadControl::ServeReaders() {
  std::vector<RuleReader*> ready;
  for (const RuleState& state : states_)
    for (const auto& reader : state.readers)
      if (reader->ready()) ready.push_back(reader.get());
  Open(ready);
  std::vector<RuleReader*> due;
  std::vector<JetStream::ConsumerName> names;
  for (RuleReader* reader : ready) {
    if (MonotonicMs() < reader->next_poll_ms()) continue;
    due.push_back(reader);
    names.push_back({reader->stream(), reader->durable()});
  }
  const Instant asked = reading_->link->Now();
  const auto infos = reading_->js->Consumers(names);
  for (size_t i = 0; i < due.size(); ++i) due[i]->NotePoll(infos[i], asked);
  SetGoals(ready);
  for (RuleReader* reader : due) reader->PollLater();
  int64_t next_ms = INT64_MAX;
  for (const RuleReader* reader : ready)
    next_ms = std::min(next_ms, reader->next_poll_ms());
  for (size_t i = 0; i < states_.size(); ++i) {
    SayRead(static_cast<RuleIndex>(i));
    SayHindrance(static_cast<RuleIndex>(i));
  }
  return next_ms;
}

void ReadControl::Open(const std::vector<RuleReader*>& ready) {
  if (ready.empty()) return;
  // Half the inbox at most is promised, so that a stream found later finds
  // room before the pulls of the others expire.
  const size_t shares = 2 * ready.size() * PullSource::kOutstanding;
  const size_t batch =
      std::clamp<size_t>(reading_->inbox->capacity() / shares, 1, kBatchMax);
  for (RuleReader* reader : ready)
    reader->Open(batch, reading_->inbox->bytes_max() / shares, epoch_);
}

void ReadControl::SetGoals(const std::vector<RuleReader*>& readers) {
  std::map<std::string, std::vector<RuleReader*>> wanting;  // by stream
  for (RuleReader* reader : readers)
    if (reader->WantsGoal()) wanting[reader->stream()].push_back(reader);
  std::vector<std::string> names;
  for (const auto& [stream, of] : wanting) names.push_back(stream);
  const Instant asked = reading_->link->Now();
  const auto infos = reading_->js->Streams(names);
  for (size_t i = 0; i < names.size(); ++i)
    for (RuleReader* reader : wanting[names[i]])
      if (infos[i].ok()) reader->SetGoal(infos[i]->last_seq, asked);
}

void ReadControl::SayRead(RuleIndex index) {
  const RuleState& state = states_[index];
  if (state.blocked || reading_->rules[index].source != Transport::kJetStream) return;
  RuleRead read{index, RuleRead::State::kCaughtUp, kEver};
  bool any = false;
  for (const auto& reader : state.readers) {
    if (!reader->ready()) continue;
    any = true;
    if (!reader->caught_up()) read.state = RuleRead::State::kReading;
    if (reader->read_to().mono_ms < read.at.mono_ms) read.at = reader->read_to();
  }
  // Without a stream there is nothing to catch up with, or it is not there yet.
  if (!any) read = {index, RuleRead::State::kReading, {}};
  if (read.state != state.said.state || read.at.mono_ms != state.said.at.mono_ms)
    Post(read);
}

void ReadControl::SayHindrance(RuleIndex index) {
  std::string why;
  for (const auto& reader : states_[index].readers)
    if (why.empty() && reader->ready()) why = reader->hindrance();
  std::string before;
  {
    MutexLock lock(&mutex_);
    before = std::exchange(hindrances_[index], why);
  }
  if (before.empty() == why.empty()) return;
  const std::string& rule = reading_->rules[index].name;
  if (why.empty())
    Log(Level::kInfo, "a rule is reading again", {{"rule", rule}});
  else
    Log(Level::kWarn, "a rule is not reading", {{"rule", rule}, {"why", why}});
}

void ReadControl::Complain(RuleIndex index, const std::string& why) {
  const Rule& rule = reading_->rules[index];
  if (ReadElsewhere(rule)) return;
  bool news = false;
  {
    MutexLock lock(&mutex_);
    news = std::exchange(troubles_[index], why) != why;
  }
  if (!why.empty())
    LogGathered(Level::kWarn, "cannot read a rule's streams, trying on", rule.name, "",
                {{"why", why}});
  else if (news)
    Log(Level::kInfo, "reading a rule's streams", {{"rule", rule.name}});
}

}  // namespace expirer
