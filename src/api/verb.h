// The verbs of the API, one file each: what a request says, what it does, what is
// answered. From the table of them come the service's endpoints, the commands of the
// command line, and the tables of docs/api.md and SECURITY.md.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/request.h"
#include "base/clock.h"
#include "job/rules.h"
#include "sched/command.h"
#include "sched/queues.h"

namespace expirer {

// What commands are made with. All of it outlives them, and may be used on any thread.
struct ApiContext {
  const std::vector<Rule>* rules = nullptr;
  const Queues* queues = nullptr;
  const Clock* clock = nullptr;
  JobLimits job_limits = {};
  // More members for the reply of `stats`, a fragment (json/writer.h); may be empty.
  std::function<std::string()> more_stats = nullptr;
};

// How the command line asks (app/client_commands.cc).
struct VerbClient {
  std::string_view command;       // words after `expirer`; "" = not at all
  std::string_view items = "";    // a list: the member that holds its items,
  std::string_view columns = "";  // and those of their members that a table shows
};

struct Verb {
  std::string_view name;          // of the subject <service>.v1.<name>
  std::string_view about;         // what it does, for people
  std::string_view members = "";  // what a request may say (Query), as words
  bool changes = false;           // else it only tells
  // Makes the command that a request asks for, which has only these members. Errors:
  // kInvalidArgument, with one sentence for the caller. Any thread.
  absl::StatusOr<std::unique_ptr<Command>> (*make)(Query query,
                                                   const ApiContext& context);
  bool cold = false;  // Command::Read is to be called
  VerbClient client = {};
};

// In the order in which people are told of them.
[[nodiscard]] std::span<const Verb* const> Verbs();

// The command that a request of `verb` asks for. Errors: kInvalidArgument, with one
// sentence for the caller. Any thread.
absl::StatusOr<std::unique_ptr<Command>> ParseRequest(const Verb& verb,
                                                      std::string_view text,
                                                      const ApiContext& context);

// Verb::make of a JobCommand.
template <typename AnyCommand>
absl::StatusOr<std::unique_ptr<Command>> MakeJob(Query query, const ApiContext&) {
  if (!query.job) return Invalid("job: expected <rule>/<key>");
  return std::make_unique<AnyCommand>(*std::move(query.job));
}

}  // namespace expirer
