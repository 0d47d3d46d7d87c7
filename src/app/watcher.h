// The thread beside the core that does what may block on the disk: once a second it
// looks at the volume, and says in the status file and over HTTP that the process is
// alive and how it is.
#pragma once

#include <atomic>
#include <thread>

#include "app/service.h"

namespace expirer {

class Watcher {
 public:
  // Begins once the store is locked. `service` outlives it.
  explicit Watcher(Service* service);
  ~Watcher() { Stop(); }

  // Ends the thread. From then on the caller may say the last word.
  void Stop();
  // One sign of life: the thread's, or after Stop the caller's.
  void WriteStatus(bool stopped);

 private:
  void Run();
  void CheckVolume();

  Service* const service_;
  bool failed_ = false;  // the status file could not be written, as was logged
  std::atomic<bool> watching_{true};
  std::thread thread_;
};

}  // namespace expirer
