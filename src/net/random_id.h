// Unique ids. nats.c's own come from rand(), and two processes that start together may
// get the same.
#pragma once

#include <cstddef>
#include <string>

namespace expirer {

// `letters` random base62 letters from the kernel (22 hold 131 bits).
[[nodiscard]] std::string RandomId(size_t letters = 22);

}  // namespace expirer
