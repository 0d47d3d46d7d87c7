#include "api/verb.h"

namespace expirer {

extern const Verb kGet, kList, kCancel, kStats, kRoundTrip, kDeadList, kRequeue, kPurge;

std::span<const Verb* const> Verbs() {
  static constexpr const Verb* kVerbs[] = {&kGet,       &kList,     &kCancel,  &kStats,
                                           &kRoundTrip, &kDeadList, &kRequeue, &kPurge};
  return kVerbs;
}

}  // namespace expirer
