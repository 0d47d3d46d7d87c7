#include "api/verb.h"

namespace expirer {

extern const Verb kGet, kList, kCancel, kStats, kRoundTrip, kDeadList, kRequeue, kPurge,
    kRules;

std::span<const Verb* const> Verbs() {
  static constexpr const Verb* kVerbs[] = {&kGet,     &kList,      &kCancel,
                                           &kStats,   &kRoundTrip, &kDeadList,
                                           &kRequeue, &kPurge,     &kRules};
  return kVerbs;
}

}  // namespace expirer
