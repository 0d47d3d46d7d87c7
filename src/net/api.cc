#include "net/api.h"

#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "json/writer.h"

namespace expirer {
namespace {

constexpr int kBadRequest = 400;
constexpr int kAtLimit = 429;
constexpr int kNotReady = 503;
// Of what requeue takes from the dead store at a time.
constexpr size_t kRequeueBytesMax = 4 << 20;

// What the rules read and what they publish to.
std::vector<std::string> SubjectsOf(const std::vector<Rule>& rules) {
  std::vector<std::string> subjects;
  for (const Rule& rule : rules) {
    for (const std::vector<Entry>* entries : {&rule.schedule, &rule.cancel})
      for (const Entry& entry : *entries) {
        subjects.push_back(entry.subject);
        if (entry.late) subjects.push_back(entry.late->target.Filter());
      }
    for (const Publish& publish : rule.publish)
      subjects.push_back(publish.target.Filter());
  }
  return subjects;
}

}  // namespace

Api::Api(ApiOptions options, Connection* connection, Inbox* inbox, const Store* store,
         const std::vector<Rule>* rules, const Clock* clock)
    : options_(std::move(options)),
      inbox_(inbox),
      store_(store),
      rules_(rules),
      queues_(*rules),
      clock_(clock),
      connection_(connection),
      micro_({options_.name, options_.version, "Durable delayed messages.",
              options_.store_id, options_.data, SubjectsOf(*rules)},
             connection) {
  AddEndpoints();
}

Api::~Api() { Stop(); }

void Api::Start() {
  reader_ = StartThread("api-reader", [this] { Run(); });
}

void Api::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (reader_.joinable()) reader_.join();
}

void Api::AddEndpoints() {
  const std::string prefix = options_.name + ".v1.";
  micro_.AddEndpoint("get", prefix + "get", [this](Caller caller, std::string_view text) {
    OnJob(false, std::move(caller), text);
  });
  micro_.AddEndpoint(
      "list", prefix + "list",
      [this](Caller caller, std::string_view text) { OnList(std::move(caller), text); });
  micro_.AddEndpoint("cancel", prefix + "cancel",
                     [this](Caller caller, std::string_view text) {
                       OnJob(true, std::move(caller), text);
                     });
  micro_.AddEndpoint(
      "stats", prefix + "stats",
      [this](Caller caller, std::string_view text) { OnStats(std::move(caller), text); });
  micro_.AddEndpoint("round-trip", prefix + "round-trip",
                     [this](Caller caller, std::string_view text) {
                       OnRoundTrip(std::move(caller), text);
                     });
  const auto dead = [&](const std::string& verb, DeadVerb what) {
    micro_.AddEndpoint("dead-" + verb, prefix + "dead." + verb,
                       [this, what](Caller caller, std::string_view text) {
                         OnDead(what, std::move(caller), text);
                       });
  };
  dead("list", DeadVerb::kList);
  dead("requeue", DeadVerb::kRequeue);
  dead("purge", DeadVerb::kPurge);
}

void Api::Reply(const Caller& caller, int code, const std::string& body) {
  inbox_->Answered();
  micro_.Reply(caller, code, body);
}

bool Api::Admit(const Caller& caller) {
  int code = 0;
  std::string why;
  if (refusing_) {
    code = kNotReady;
    why = "the service is stopping";
  } else if (!inbox_->TakePlace()) {
    code = kAtLimit;
    why = "too many requests at a time (limits.requests): try again";
  }
  if (code == 0) return true;
  micro_.Reply(caller, code, why);
  connection_->Flush();
  return false;
}

bool Api::Take(const Caller& caller, const absl::Status& parsed) {
  if (!Admit(caller)) return false;
  if (parsed.ok()) return true;
  Reply(caller, kBadRequest, Message(parsed));
  connection_->Flush();
  return false;
}

void Api::OnJob(bool cancel, Caller caller, std::string_view payload) {
  absl::StatusOr<JobRef> job = ParseJobRequest(payload);
  if (!Take(caller, job.status())) return;
  if (cancel)
    inbox_->Ask(CancelRequest{std::move(caller), *std::move(job)});
  else
    inbox_->Ask(GetRequest{std::move(caller), *std::move(job)});
}

void Api::OnStats(Caller caller, std::string_view payload) {
  absl::StatusOr<std::string> after = ParseStatsRequest(payload);
  if (!Take(caller, after.status())) return;
  inbox_->Ask(StatsRequest{std::move(caller),
                           options_.more_stats ? options_.more_stats() : std::string(),
                           *std::move(after)});
}

void Api::OnRoundTrip(Caller caller, std::string_view payload) {
  absl::StatusOr<RoundTrip> trip = ParseRoundTrip(payload);
  if (!Take(caller, trip.status())) return;
  inbox_->Ask(RoundTripRequest{std::move(caller), *std::move(trip)});
}

void Api::OnList(Caller caller, std::string_view payload) {
  absl::StatusOr<ListQuery> query = ParseListQuery(payload);
  if (!Take(caller, query.status())) return;
  AddPage({std::move(caller), DeadVerb::kList, *std::move(query), {}});
}

void Api::OnDead(DeadVerb verb, Caller caller, std::string_view payload) {
  absl::StatusOr<DeadQuery> query = ParseDeadQuery(payload, verb);
  if (!Take(caller, query.status())) return;
  AddPage({std::move(caller), verb, std::nullopt, *std::move(query)});
}

void Api::AddPage(Page page) {
  MutexLock lock(&mutex_);
  pages_.push_back(std::move(page));
}

void Api::Run() {
  constexpr int64_t kIdleMs = 1'000;
  while (true) {
    Page page;
    {
      MutexLock lock(&mutex_);
      mutex_.AwaitFor(kIdleMs, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !pages_.empty();
      });
      if (stopping_) return;
      if (pages_.empty()) continue;
      page = std::move(pages_.front());
      pages_.pop_front();
    }
    if (const absl::Status read = Read(&page); !read.ok()) {
      Log(Level::kError, "a page of the store could not be read",
          {{"why", Message(read)}});
      Reply(page.caller, kNotReady, "the store could not be read: " + Message(read));
      connection_->Flush();
    }
  }
}

absl::Status Api::Read(Page* page) {
  if (page->list) return ReadList(page);
  return page->verb == DeadVerb::kList ? ReadDeadList(page) : ReadDeadEntries(page);
}

absl::Status Api::ReadList(Page* page) {
  ListRequest request;
  request.caller = page->caller;
  request.state = page->list->state;
  RETURN_IF_ERROR(ReadJobs(*store_, queues_, *page->list, clock_->NowMs(), &request));
  inbox_->Ask(std::move(request));
  return absl::OkStatus();
}

absl::Status Api::ReadDeadList(Page* page) {
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(*store_));
  const size_t bytes_max = DeadPageBytes(page->caller.bytes_max);
  std::string out;
  JsonWriter reply(&out);
  reply.Object().Array("entries");
  bool first = true;
  std::string cursor;
  RETURN_IF_ERROR(ReadDead(
      *store_, page->dead,
      [&](std::string_view key, const Dead& dead) {
        const Json entry{FormatDeadEntry(key, dead, streams, bytes_max)};
        if (!std::exchange(first, false) &&
            out.size() + 1 + entry.text.size() > bytes_max)
          return false;
        reply.Item(entry);
        return true;
      },
      &cursor));
  reply.End().Add("cursor", IfAny(cursor)).End();
  inbox_->Ask(ReadRequest{page->caller, std::move(out)});
  return absl::OkStatus();
}

absl::Status Api::ReadDeadEntries(Page* page) {
  const DeadQuery& query = page->dead;
  DeadRequest request;
  request.purge = page->verb == DeadVerb::kPurge;
  request.dry_run = query.dry_run;
  request.one = query.job || query.id;
  request.stale = query.stale;
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(*store_));
  size_t bytes = 0;
  const auto add = [&](std::string_view key, const Dead& dead) {
    if (bytes >= kRequeueBytesMax) return false;
    bytes += dead.payload.size() + key.size();
    DeadRequest::Entry entry;
    entry.key = key;
    if (!request.purge) Evaluate(dead, streams, &entry);
    request.entries.push_back(std::move(entry));
    return true;
  };
  if (!request.one) {
    RETURN_IF_ERROR(ReadDead(*store_, query, add, &request.cursor));
  } else {
    const std::string key =
        query.id ? *query.id : DeadJobKey(query.job->rule, query.job->key);
    std::string value;
    ASSIGN_OR_RETURN(const bool found, store_->GetDead(key, &value));
    if (found) {
      const absl::StatusOr<Dead> dead = DecodeDead(value);
      (void)add(key, dead.ok() ? *dead : Dead());  // the core says what is wrong
    } else {
      request.entries.emplace_back().key = key;  // the core says what is there
    }
  }
  request.caller = page->caller;
  inbox_->Ask(std::move(request));
  return absl::OkStatus();
}

// Runs a rejected message through its rule.
void Api::Evaluate(const Dead& dead, const StreamNames& streams,
                   DeadRequest::Entry* entry) {
  const DeadName name = SplitDeadKey(entry->key).value_or(DeadName{});
  if (name.job) return;
  entry->source = dead.source;
  if (dead.reference_only) {
    entry->refusal =
        "only a reference to the message was kept (limits.dead, limits.dead_bytes)";
    return;
  }
  if (!dead.job_row.empty()) return;  // stale: the core takes the job itself
  auto found = evaluators_.find(name.rule);
  if (found == evaluators_.end()) {
    const std::optional<RuleIndex> rule = queues_.RuleOf(name.rule);
    if (!rule) {
      entry->refusal = "the rule " + std::string(name.rule) + " is not configured";
      return;
    }
    auto evaluator =
        std::make_unique<RuleEvaluator>((*rules_)[*rule], options_.job_limits);
    found = evaluators_.emplace(std::string(name.rule), std::move(evaluator)).first;
  }
  EventView event;
  event.subject = dead.subject;
  event.payload = dead.payload;
  event.headers = &dead.headers;
  event.time_ns = dead.source.time_ns;
  const std::string stream = streams(dead.source.stream);
  event.stream = stream;
  entry->intent = found->second->Evaluate(event, clock_->NowMs());
}

}  // namespace expirer
