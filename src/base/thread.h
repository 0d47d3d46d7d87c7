// Starts and names expirer's threads.
#pragma once

#include <pthread.h>

#include <functional>
#include <string>
#include <thread>

namespace expirer {

// Names the calling thread for `top -H` and profilers. The kernel shows 15 bytes;
// the rest is cut.
inline void NameThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

// Starts a thread called `name` that runs `run`. If that fails, logs kNoThread and
// exits with 1, so that the supervisor starts the process again.
[[nodiscard]] std::thread StartThread(const std::string& name, std::function<void()> run);

// The likely reason why a thread cannot be made, and what to check.
inline constexpr char kNoThread[] =
    "no further thread can be made: raise the limit on processes (pids.max of the "
    "container, TasksMax of the unit, ulimit -u)";

}  // namespace expirer
