// The signals that end the service (SIGTERM, SIGINT and SIGHUP) and commands that clean
// up before they end (SIGTERM and SIGINT).
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace expirer {

// For commands: after this call the signals do not end the process; Interrupted() returns
// true instead.
void CatchInterrupts();
[[nodiscard]] bool Interrupted();

// For the service: blocks its signals in the calling thread and in all threads that it
// starts, so that a SignalThread receives them. SIGHUP means that the terminal went away;
// it does not reload. If the process was started under nohup, SIGHUP stays ignored.
void BlockStopSignals();

// Waits for the service's signals on its own thread, and calls `stop` there for each.
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
