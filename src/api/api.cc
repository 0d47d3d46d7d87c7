#include "api/api.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace expirer {
namespace {

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

Api::Api(ApiOptions options, Connection* connection, Inbox* inbox, const Store* store)
    : inbox_(inbox),
      store_(store),
      queues_(*options.context.rules),
      context_(std::move(options.context)),
      connection_(connection),
      micro_({.name = options.name,
              .version = options.version,
              .description = "Durable delayed messages.",
              .store_id = options.store_id,
              .data = options.data,
              .no_replies_to = SubjectsOf(*context_.rules)},
             connection) {
  context_.queues = &queues_;
  for (const Verb* const verb : Verbs()) {
    std::string endpoint(verb->name);
    std::replace(endpoint.begin(), endpoint.end(), '.', '-');
    micro_.AddEndpoint(endpoint, options.name + ".v1." + std::string(verb->name),
                       [this, verb](Caller caller, std::string_view payload) {
                         OnRequest(*verb, std::move(caller), payload);
                       });
  }
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

void Api::OnRequest(const Verb& verb, Caller caller, std::string_view payload) {
  if (!Admit(caller)) return;
  absl::StatusOr<std::unique_ptr<Command>> command =
      ParseRequest(verb, payload, context_);
  if (!command.ok()) {
    Reply(caller, kBadRequest, Message(command.status()));
    return connection_->Flush();
  }
  (*command)->caller = std::move(caller);
  if (!verb.cold) return inbox_->Ask(*std::move(command));
  MutexLock lock(&mutex_);
  cold_.push_back(*std::move(command));
}

void Api::Run() {
  constexpr int64_t kIdleMs = 1'000;
  while (true) {
    std::unique_ptr<Command> command;
    {
      MutexLock lock(&mutex_);
      mutex_.AwaitFor(kIdleMs, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !cold_.empty();
      });
      if (stopping_) return;
      if (cold_.empty()) continue;
      command = std::move(cold_.front());
      cold_.pop_front();
    }
    if (const absl::Status read = command->Read(*store_); read.ok()) {
      inbox_->Ask(std::move(command));
    } else {
      Log(Level::kError, "a page of the store could not be read",
          {{"why", Message(read)}});
      Reply(command->caller, kNotReady, "the store could not be read: " + Message(read));
      connection_->Flush();
    }
  }
}

}  // namespace expirer
