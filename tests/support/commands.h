// Commands as the API makes them of requests.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "api/verb.h"
#include "base/check.h"
#include "json/writer.h"

namespace expirer {

// REQUIRED: the verb takes the request, and is not read with this context.
inline std::unique_ptr<Command> MakeCommand(std::string_view verb, std::string_view text,
                                            Caller caller = {},
                                            const ApiContext& context = {}) {
  for (const Verb* const one : Verbs()) {
    if (one->name != verb) continue;
    auto command = one->parse(text, context);
    CHECK(command.ok());
    (*command)->caller = std::move(caller);
    return *std::move(command);
  }
  CHECK(false);
  return nullptr;
}

inline std::unique_ptr<Command> MakeJobCommand(std::string_view verb,
                                               std::string_view rule,
                                               std::string_view key, Caller caller = {}) {
  return MakeCommand(verb, JsonObject("job", JobName(rule, key)).text, std::move(caller));
}

}  // namespace expirer
