// Requests as the API reads them, and the commands that it makes of them.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "api/dead.h"
#include "api/list.h"
#include "api/verb.h"
#include "base/check.h"
#include "json/writer.h"

namespace expirer {

// REQUIRED: there is such a verb.
inline const Verb& VerbOf(std::string_view name) {
  for (const Verb* const one : Verbs())
    if (one->name == name) return *one;
  CHECK(false);
  return *Verbs()[0];
}

// The members of a request that `get` or `round-trip` takes.
inline absl::StatusOr<Query> ParseRequest(std::string_view verb, std::string_view text) {
  RETURN_IF_ERROR(ParseRequest(VerbOf(verb), text, {}).status());
  return ParseQuery(text, VerbOf(verb).members);
}
inline absl::StatusOr<ListQuery> ParseListQuery(std::string_view text) {
  ASSIGN_OR_RETURN(Query query, ParseQuery(text, VerbOf("list").members));
  return ListQueryOf(std::move(query));
}
inline absl::StatusOr<DeadQuery> ParseDeadQuery(std::string_view text,
                                                std::string_view verb) {
  ASSIGN_OR_RETURN(Query query, ParseQuery(text, VerbOf(verb).members));
  return DeadQueryOf(std::move(query));
}

// REQUIRED: the verb takes the request.
inline std::unique_ptr<Command> MakeCommand(std::string_view verb, std::string_view text,
                                            Caller caller = {},
                                            const ApiContext& context = {}) {
  auto command = ParseRequest(VerbOf(verb), text, context);
  CHECK(command.ok());
  (*command)->caller = std::move(caller);
  return *std::move(command);
}

inline std::unique_ptr<Command> MakeJobCommand(std::string_view verb,
                                               std::string_view rule,
                                               std::string_view key, Caller caller = {}) {
  return MakeCommand(verb, JsonObject("job", JobName(rule, key)).text, std::move(caller));
}

}  // namespace expirer
