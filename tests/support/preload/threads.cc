// Preloaded into the real binary: while the file exists that EXPIRER_TEST_NO_THREADS
// names, no thread can be made, as at a limit of processes (pids.max, ulimit -u).
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) noexcept {
  const char* const path = std::getenv("EXPIRER_TEST_NO_THREADS");
  if (path != nullptr && access(path, F_OK) == 0) return EAGAIN;
  static const auto create =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, run, argument);
}
