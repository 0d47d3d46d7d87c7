// Names the calling thread, as `top -H` and profilers show it.
#pragma once

#include <pthread.h>

#include <string>

namespace expirer {

// Cut to the kernel's 15 bytes.
inline void NameThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace expirer
