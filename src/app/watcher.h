// A thread beside the core for work that may block on the disk. Once a second it checks
// the volume's free space, and writes the status file and the status for HTTP.
#pragma once

#include <atomic>
#include <thread>

#include "app/service.h"

namespace expirer {

class Watcher {
 public:
  // Starts the thread. REQUIRED: the store is locked. `service` must outlive it.
  explicit Watcher(Service* service);
  ~Watcher() { Stop(); }

  // Ends the thread. After that the caller may write the last status.
  void Stop();
  // Writes the status once. Only the thread, or after Stop the caller, may call it.
  void WriteStatus(bool stopped);

 private:
  void Run();
  void CheckVolume();

  Service* const service_;
  bool failed_ = false;  // writing the status file failed, and this was logged
  std::atomic<bool> watching_{true};
  std::thread thread_;
};

}  // namespace expirer
