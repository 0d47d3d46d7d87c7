// The signals that stop the service: SIGTERM, SIGINT and SIGHUP.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace expirer {

// Leaves them to a SignalThread, in the calling thread and all that it starts. SIGHUP
// is that of a terminal that goes away: there is no reload. Who started us under nohup
// wants it ignored, which a signal that is waited for would not be.
void BlockStopSignals();

// Waits for these signals on a thread of its own, and calls `stop` there for each.
class SignalThread {
 public:
  explicit SignalThread(std::function<void()> stop);
  ~SignalThread();

 private:
  void Run();

  const std::function<void()> stop_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace expirer
