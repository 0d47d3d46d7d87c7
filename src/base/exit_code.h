// Exit codes of the process.
#pragma once

namespace expirer {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;  // an error at run time
inline constexpr int kUsage = 2;   // bad usage or config

}  // namespace expirer
