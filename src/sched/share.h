// Shares a limited number of places among several users, so that a user that does not
// give back its places leaves room for the others.
#pragma once

#include <cstddef>

namespace expirer {

// Whether a user that holds `own` of the `used` places may take another, if there are
// `max`. It may hold seven for each free place, so it never holds more than seven eighths
// of all; if two such users compete, each holds seven fifteenths. A user without places
// may take the last one.
[[nodiscard]] constexpr bool MayTake(size_t own, size_t used, size_t max) {
  if (used >= max) return false;
  return own == 0 || own < 7 * (max - used - 1);
}

}  // namespace expirer
