// How several share a limited number of places, so that one who does not give back
// what it took leaves room for the others.
#pragma once

#include <cstddef>

namespace expirer {

// Whether one who holds `own` of the `used` places may take a further one, when there
// are `max`: it may hold seven for each place that it leaves free, and so never more
// than seven eighths; with a second one like it, seven fifteenths. Who holds none may
// take the last.
[[nodiscard]] constexpr bool MayTake(size_t own, size_t used, size_t max) {
  if (used >= max) return false;
  return own == 0 || own < 7 * (max - used - 1);
}

}  // namespace expirer
