// Threads of our own.
#pragma once

#include <pthread.h>

#include <functional>
#include <string>
#include <thread>

namespace expirer {

// Names the calling thread, as `top -H` and profilers show it. Cut to the kernel's
// 15 bytes.
inline void NameThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

// A thread called `name` that runs `run`. When none can be made the process says so
// and exits with 1: whoever supervises it tries again.
[[nodiscard]] std::thread StartThread(const std::string& name, std::function<void()> run);

// Why a thread cannot be made, as far as one can know, and what to do.
inline constexpr char kNoThread[] =
    "no further thread can be made; is a limit on processes too low (pids.max of the "
    "container, TasksMax of the unit, ulimit -u)?";

}  // namespace expirer
