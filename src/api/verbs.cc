#include "api/verb.h"

#include <utility>

namespace expirer {

extern const Verb kGet, kList, kCancel, kStats, kRoundTrip, kDeadList, kRequeue, kPurge,
    kRules;

std::span<const Verb* const> Verbs() {
  static constexpr const Verb* kVerbs[] = {&kGet,     &kList,      &kCancel,
                                           &kStats,   &kRoundTrip, &kDeadList,
                                           &kRequeue, &kPurge,     &kRules};
  return kVerbs;
}

absl::StatusOr<std::unique_ptr<Command>> ParseRequest(const Verb& verb,
                                                      std::string_view text,
                                                      const ApiContext& context) {
  ASSIGN_OR_RETURN(Query query, ParseQuery(text, verb.members));
  return verb.make(std::move(query), context);
}

}  // namespace expirer
